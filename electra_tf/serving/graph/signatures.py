"""The ways to ask a pre-trained model, by the names that objectives say (`Objective.served`)."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from electra_tf.serving.graph.detector import detect_replaced, detect_replaced_ids
from electra_tf.serving.graph.encode import encode
from electra_tf.serving.graph.fill_mask import fill_mask
from electra_tf.serving.graph.pretrained_network import PretrainedNetwork
from electra_tf.serving.graph.score import score
from electra_tf.text.vocabulary import MASK


@dataclasses.dataclass(frozen=True)
class Signature:
    """A way to ask a pre-trained model.

    Attributes:
        build: makes its function of a network.
        warmup: makes inputs by name of texts, for a network.
    """

    build: Callable[[PretrainedNetwork], tf.types.experimental.PolymorphicFunction]
    warmup: Callable[[PretrainedNetwork, list[str]], dict] = lambda _, texts: {"text": texts}


SIGNATURES = {
    "detect_replaced": Signature(detect_replaced),
    "detect_replaced_ids": Signature(
        detect_replaced_ids,
        lambda network, texts: network.tokenizer.batch(
            texts, max_seq_length=network.max_seq_length
        ),
    ),
    "fill_mask": Signature(
        fill_mask, lambda _, texts: {"text": [f"{MASK} {text}" for text in texts]}
    ),
    "encode": Signature(encode),
    "score": Signature(score),
}
