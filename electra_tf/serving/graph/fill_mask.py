"""Filling in: a text with [MASK] in it to the likeliest tokens for each, as a serving graph."""

from typing import Any

import tensorflow as tf

from electra_tf.models.layers import for_inference
from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.pretrained_network import TEXT, PretrainedNetwork
from electra_tf.text.framing import frame
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.vocabulary import MASK
from electra_tf.text.words import valid_utf8

NUM_CANDIDATES = 5  # for each [MASK]; all there are in a smaller vocabulary
_RAGGED: Any = tf.RaggedTensor  # the stubs lack its constructors


def fill_mask(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `fill_mask`: `text` string [B] to candidates for every [MASK] of it.

    `tokens` string [B, M, K], the likeliest first, and their `probabilities` float32 [B, M, K];
    `positions` int32 [B, M], which token of the row is masked, [CLS] being 0; `mask` int32 [B, M].
    M is the largest number of [MASK]s in a text of the batch, 0 where there is none at all. Where
    the mask is 0 all else is 0 or "".

    A [MASK], written like this in capitals, is the special token wherever it stands, also within
    a word; invalid bytes inside of it have been dropped. Other special tokens are ordinary text.
    What a longer text has after `max_seq_length` tokens is not filled in.
    """
    tokenizer, longest = network.tokenizer, network.max_seq_length
    vocabulary = tokenizer.vocabulary
    all_tokens = tf.constant(vocabulary.tokens)
    num_candidates = min(NUM_CANDIDATES, len(vocabulary))

    def ids_of(text):
        return _ids_with_masks(text, tokenizer)

    def fill_mask(text):
        [text] = fitting(rank=1, text=text)
        text = shorten(text, tokenizer, longest, ids_of)
        batch = frame(ids_of(text), None, vocabulary, longest)
        ids = batch["input_ids"]
        hidden = network.hidden(**batch)
        places = tf.where(ids == vocabulary.mask_id)  # [N, 2], by rows
        rows, positions = places[:, 0], tf.cast(places[:, 1], tf.int32)
        # Of padded positions no logits are made: a vocabulary for each is what costs memory.
        flat = tf.cast(rows, tf.int32) * tf.shape(ids)[1] + positions
        with for_inference():
            assert network.head is not None, "the objective names one"
            logits = network.head(
                tf.reshape(hidden, [1, -1, hidden.shape[-1]]), flat[None]
            )  # [N, V]
        # A model may have more outputs than there are tokens.
        best = tf.math.top_k(tf.nn.softmax(logits)[:, : len(vocabulary)], num_candidates)

        def per_text(values):
            return _RAGGED.from_value_rowids(values, rows, tf.shape(ids, tf.int64)[0])

        return {
            "tokens": per_text(tf.gather(all_tokens, best.indices)).to_tensor(""),
            "probabilities": per_text(best.values).to_tensor(0.0),
            "positions": per_text(positions).to_tensor(0),
            "mask": per_text(tf.ones_like(positions)).to_tensor(0),
        }

    return tf.function(fill_mask, autograph=False, input_signature=TEXT)


def _ids_with_masks(text: tf.Tensor, tokenizer: Tokenizer) -> tf.RaggedTensor:
    """Ids of the text between [MASK]s with the id of [MASK] between them: int32 [B, None]."""
    parts = tf.strings.split(valid_utf8(text), sep=MASK)  # one more than there are [MASK]s
    ids = tokenizer.ids_of_parts(parts)
    masks = tf.fill([ids.values.nrows(), 1], tf.constant(tokenizer.vocabulary.mask_id, tf.int32))
    ids = ids.with_values(tf.concat([masks, ids.values], axis=1)).merge_dims(1, 2)
    return ids[:, 1:]  # before the first part there is none
