"""What the signatures of a pre-trained model are made of: an encoder, a head, a tokenizer."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from electra_tf.models.encoder import Encoder
from electra_tf.models.layers import for_inference
from electra_tf.serving.graph.inference import hidden_states
from electra_tf.text.tokenizer import Tokenizer

TEXT = [tf.TensorSpec([None], tf.string, "text")]
IDS = [
    tf.TensorSpec([None, None], tf.int32, name)
    for name in ("input_ids", "input_mask", "segment_ids")
]


@dataclasses.dataclass(frozen=True)
class PretrainedNetwork:
    """A network of a pre-trained model.

    Keras layers stay in closures over it: attributes of a module would become part of the saved
    objects, and loading those needs their libraries. Variables must be attributes.

    Attributes:
        encoder: makes hidden states.
        head: makes the answer of them; None where hidden states are the answer.
        tokenizer: of the vocabulary the model was trained with.
        max_seq_length: tokens of the longest text, [CLS] and [SEP] included.
        token_score: as of `Served`.
    """

    encoder: Encoder
    head: keras.layers.Layer | None
    tokenizer: Tokenizer
    max_seq_length: int
    token_score: Callable[[Any], Any] | None = None

    def hidden(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor
    ) -> tf.Tensor:
        """Hidden states [B, L, H] of int32 [B, L]."""
        return hidden_states(
            self.encoder,
            {"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids},
        )

    def token_logits(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor
    ) -> tf.Tensor:
        """Logits float32 [B, L] of int32 [B, L], by a head that gives each token one."""
        assert self.head is not None, "the objective names one"
        with for_inference():
            return self.head(self.hidden(input_ids, input_mask, segment_ids))
