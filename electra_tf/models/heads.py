"""What sits on an encoder: token prediction and replaced-token detection."""

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.encoder import Embeddings
from electra_tf.models.layers import Dense, LayerNorm, at_positions, gelu


class MaskedLMHead(keras.layers.Layer):
    """Predicts the token at given positions, with the token table as output matrix.

    Differs from the original: the logits can be padded to a multiple of a block size
    (`pad_to`); the padding has logit -1e9, so no probability, loss or sample changes.
    """

    def __init__(self, config: ModelConfig, embeddings: Embeddings, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._embeddings, self._vocab_size = embeddings, config.vocab_size
        size = embeddings.size
        self.dense = Dense(config.hidden_size, size, name="dense", dtype=dtype)
        self.layer_norm = LayerNorm(size, config.layer_norm_epsilon, name="layer_norm",
                                    dtype=dtype)

    def build(self, *_):
        self.dense.build()
        self.layer_norm.build()
        self.output_bias = self.add_weight(name="output_bias", shape=(self._vocab_size,),
                                           initializer="zeros", autocast=False)
        self.built = True

    def call(self, hidden, positions, pad_to: int = 1):
        """Logits at masked positions only: the vocabulary projection is the costly part.

        Args:
            hidden: [B, L, H] encoder output.
            positions: int32 [B, M].
            pad_to: the last axis of the result is the next multiple of this.

        Returns:
            float32 [B*M, V or more].
        """
        output = self.layer_norm(gelu(self.dense(at_positions(hidden, positions))))
        # The 8 bits of bfloat16 are too few for logits; the 11 of float16 (and TF32) are enough.
        dtype = "float32" if output.dtype == "bfloat16" else output.dtype
        output, table = ops.cast(output, dtype), ops.cast(self._embeddings.tokens, dtype)
        bias = ops.convert_to_tensor(self.output_bias)
        padding = -self._vocab_size % pad_to
        if padding:
            table = ops.pad(table, ((0, padding), (0, 0)))
            bias = ops.pad(bias, ((0, padding),), constant_values=-1e9)
        logits = ops.matmul(output, ops.transpose(table))
        return ops.cast(logits, "float32") + bias


class ReplacedTokenHead(keras.layers.Layer):
    """One logit per token: positive where the token looks replaced."""

    def __init__(self, config: ModelConfig, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.dense = Dense(config.hidden_size, config.hidden_size, name="dense", dtype=dtype)
        self.logit = Dense(config.hidden_size, 1, name="logit", dtype=dtype)

    def build(self, *_):
        self.dense.build()
        self.logit.build()
        self.built = True

    def call(self, hidden):
        """Args: hidden [B, L, H]. Returns float32 [B, L]."""
        batch, length, width = ops.shape(hidden)
        logits = self.logit(gelu(self.dense(ops.reshape(hidden, (-1, width)))))
        return ops.cast(ops.reshape(logits, (batch, length)), "float32")
