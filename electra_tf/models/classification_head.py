"""What sits on an encoder in fine-tuning: an output for each text."""

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.initialization import GLOROT_UNIFORM
from electra_tf.models.layers import Dense, gelu


class ClassificationHead(keras.layers.Layer):
    """`num_outputs` logits from the hidden state of the first token, [CLS].

    Dropout, whose rate is `config.hidden_dropout`, then the dense layer "logit". With
    `hidden_layer`, a dense layer of the encoder's width, GELU and dropout again come between
    them; the paper's fine-tuning has none, Hugging Face's sequence classification has.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_outputs: int,
        *,
        name: str,
        hidden_layer: bool = False,
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._dropout = config.hidden_dropout
        self.dense = None
        if hidden_layer:
            self.dense = Dense(
                config.hidden_size,
                config.hidden_size,
                name="dense",
                start=GLOROT_UNIFORM,
                dtype=dtype,
            )
        self.logit = Dense(
            config.hidden_size, num_outputs, name="logit", start=GLOROT_UNIFORM, dtype=dtype
        )

    def build(self, *_):
        if self.dense is not None:
            self.dense.build()
        self.logit.build()
        self.built = True

    def call(self, hidden, dropout=None):
        """Args: hidden [B, L, H]; dropout Dropout or None. Returns float32 [B, num_outputs]."""
        outputs = self._drop(hidden[:, 0], dropout)
        if self.dense is not None:
            outputs = self._drop(gelu(self.dense(outputs)), dropout)
        return ops.cast(self.logit(outputs), "float32")

    def _drop(self, inputs, dropout):
        return inputs if dropout is None else dropout(inputs, self._dropout)
