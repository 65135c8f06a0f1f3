"""Hidden states of texts, as a serving graph."""

import tensorflow as tf

from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.pretrained_network import TEXT, PretrainedNetwork


def encode(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `encode`: `text` string [B] to hidden states.

    `sequence_output` float32 [B, L, H], those of the last layer; `pooled_output` float32 [B, H],
    that of [CLS]; `mask` int32 [B, L]. Of a row's padding the hidden states mean nothing.
    """
    tokenizer, longest = network.tokenizer, network.max_seq_length

    def encode(text):
        [text] = fitting(rank=1, text=text)
        text = shorten(text, tokenizer, longest)
        batch = tokenizer.batch(text, max_seq_length=longest)
        hidden = tf.cast(network.hidden(**batch), tf.float32)
        # The sum over one token: an empty batch has none to take.
        return {
            "sequence_output": hidden,
            "mask": batch["input_mask"],
            "pooled_output": tf.reduce_sum(hidden[:, :1], axis=1),
        }

    return tf.function(encode, autograph=False, input_signature=TEXT)
