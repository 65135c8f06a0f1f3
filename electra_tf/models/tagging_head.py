"""What sits on an encoder to tag words: one output layer, on every token."""

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.initialization import GLOROT_UNIFORM
from electra_tf.models.layers import Dense
from electra_tf.models.randomness import Dropout


class TaggingHead(keras.layers.Layer):
    """Dropout and a dense layer.

    Differs from the original: there is dropout, at `config.hidden_dropout`, as its classification
    tasks have it; its tagging has none.
    """

    def __init__(self, config: ModelConfig, num_classes: int, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._dropout = config.hidden_dropout
        self.logit = Dense(
            config.hidden_size, num_classes, name="logit", start=GLOROT_UNIFORM, dtype=dtype
        )

    def build(self, *_):
        self.logit.build()
        self.built = True

    def call(self, hidden, dropout: Dropout | None = None):
        """Args: hidden [B, L, H]; dropout for dropout or None. Returns float32 [B, L, C]."""
        batch, length, width = ops.shape(hidden)
        flat = ops.reshape(hidden, (-1, width))
        if dropout is not None:
            flat = dropout(flat, self._dropout)
        logits = ops.cast(self.logit(flat), "float32")
        return ops.reshape(logits, (batch, length, logits.shape[-1]))
