"""Which tokens do not fit, of texts or of token ids, as a serving graph."""

import tensorflow as tf

from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.pretrained_network import IDS, TEXT, PretrainedNetwork
from electra_tf.serving.graph.tokens import token_reader


def detect_replaced(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `detect_replaced`: `text` string [B] to a probability for each token.

    `replaced_probability` float32 [B, L], 0 in padding, and what `token_reader` says of the
    tokens.
    """
    read = token_reader(network)

    def detect_replaced(text):
        batch, tokens = read(text)
        probability = tf.sigmoid(network.token_logits(**batch)) * tf.cast(
            tokens["mask"], tf.float32
        )
        return {**tokens, "replaced_probability": probability}

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
        return {"logits": network.token_logits(ids, mask, segments)}

    return tf.function(detect_replaced_ids, autograph=False, input_signature=IDS)
