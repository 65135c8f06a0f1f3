"""Which tokens do not fit, of texts or of token ids, as a serving graph."""

import tensorflow as tf

from electra_tf.models.layers import for_inference
from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.pretrained_network import IDS, TEXT, PretrainedNetwork
from electra_tf.text.framing import batch_of, place


def detect_replaced(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `detect_replaced`: `text` string [B] to a probability for each token.

    `tokens` string [B, L], `token_ids` int32 [B, L], `replaced_probability` float32 [B, L],
    `start_offset` and `end_offset` int32 [B, L], `mask` int32 [B, L].

    Offsets are bytes of the text without its invalid UTF-8 and delimit the word, by white
    space and punctuation, that a token came from; 0 and 0 for [CLS], [SEP] and padding. The
    probability is 0 in padding.
    """
    tokenizer, longest = network.tokenizer, network.max_seq_length
    tokens = tf.constant(tokenizer.vocabulary.tokens)

    def detect_replaced(text):
        [text] = fitting(rank=1, text=text)
        text = shorten(text, tokenizer.ids, longest)
        ids, starts, ends = tokenizer.ids_with_offsets(text)
        rows = place([ids], longest)
        batch = batch_of(rows, [ids], tokenizer.vocabulary)
        ids, mask = batch["input_ids"], batch["input_mask"]
        starts, ends = (rows.fill(part.values, [0, 0, 0]) for part in (starts, ends))
        probability = tf.sigmoid(_logits(network, **batch)) * tf.cast(mask, tf.float32)
        return {
            "tokens": tf.gather(tokens, ids),
            "token_ids": ids,
            "replaced_probability": probability,
            "start_offset": starts,
            "end_offset": ends,
            "mask": mask,
        }

    return tf.function(detect_replaced, autograph=False, input_signature=TEXT)


def detect_replaced_ids(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `detect_replaced_ids`: int32 [B, L] rows to `logits` float32 [B, L].

    Inputs of different shapes, and rows longer than the model's positions, are an error of the
    call.
    """

    def detect_replaced_ids(input_ids, input_mask, segment_ids):
        ids, mask, segments = fitting(
            rank=2,
            longest=network.encoder.config.max_positions,
            input_ids=input_ids,
            input_mask=input_mask,
            segment_ids=segment_ids,
        )
        return {"logits": _logits(network, ids, mask, segments)}

    return tf.function(detect_replaced_ids, autograph=False, input_signature=IDS)


def _logits(network, input_ids, input_mask, segment_ids):
    with for_inference():
        return network.head(network.hidden(input_ids, input_mask, segment_ids))
