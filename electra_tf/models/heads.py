"""What sits on an encoder: token prediction and selection, detection, one logit per token."""

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.initialization import GLOROT_UNIFORM, ZEROS, add_weight
from electra_tf.models.layers import Dense, LayerNorm, at_positions, gelu


class MaskedLMHead(keras.layers.Layer):
    """Predicts the token at given positions, with the embeddings as output matrix.

    What other heads compute is the same whatever `config.block` is; they have their biases.
    """

    def __init__(self, config: ModelConfig, embeddings: Embeddings, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._embeddings, self._vocab_size = embeddings, config.vocab_size
        size, has_bias = embeddings.size, config.elements().biases
        self.dense = Dense(config.hidden_size, size, name="dense", has_bias=has_bias, dtype=dtype)
        self.layer_norm = LayerNorm(
            size, config.layer_norm_epsilon, name="layer_norm", has_bias=has_bias, dtype=dtype
        )

    def build(self, *_):
        self.dense.build()
        self.layer_norm.build()
        self.output_bias = add_weight(
            self, "output_bias", (self._vocab_size,), ZEROS, autocast=False
        )
        self.built = True

    def call(self, hidden, positions):
        """Logits at masked positions only: the vocabulary projection is the costly part.

        Args:
            hidden: [B, L, H] encoder output.
            positions: int32 [B, M].

        Returns:
            float32 [B*M, V].
        """
        vectors, table, bias = self.factors(hidden, positions)
        return ops.cast(ops.matmul(vectors, ops.transpose(table)), "float32") + bias

    def factors(self, hidden, positions=None):
        """What the logits are made of: (vectors [T, E], table [V, E], bias float32 [V]).

        Args:
            hidden: [B, L, H] encoder output.
            positions: int32 [B, M], T = B*M; None for all, T = B*L.
        """
        if positions is None:
            hidden = ops.reshape(hidden, (-1, hidden.shape[-1]))
        else:
            hidden = at_positions(hidden, positions)
        output = self.layer_norm(gelu(self.dense(hidden)))
        # The 8 bits of bfloat16 are too few for logits; the 11 of float16 (and TF32) are enough.
        dtype = "float32" if output.dtype == "bfloat16" else output.dtype
        # A tensor, not a variable: a custom gradient may only see what it is given.
        bias = ops.cast(self.output_bias, "float32")
        return ops.cast(output, dtype), self._embeddings.output_weights(dtype), bias


class ReplacedTokenHead(keras.layers.Layer):
    """One logit per token: positive where the token looks replaced."""

    def __init__(self, config: ModelConfig, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.dense = Dense(config.hidden_size, config.hidden_size, name="dense", dtype=dtype)
        self.logit = Dense(config.hidden_size, 1, name="logit", start=GLOROT_UNIFORM, dtype=dtype)

    def build(self, *_):
        self.dense.build()
        self.logit.build()
        self.built = True

    def call(self, hidden):
        """Args: hidden [B, L, H]. Returns float32 [B, L]."""
        batch, length, width = ops.shape(hidden)
        logits = self.logit(gelu(self.dense(ops.reshape(hidden, (-1, width)))))
        return ops.cast(ops.reshape(logits, (batch, length)), "float32")


class TokenLogit(keras.layers.Layer):
    """One logit per token, linear in its hidden state."""

    def __init__(self, config: ModelConfig, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.logit = Dense(config.hidden_size, 1, name="logit", start=GLOROT_UNIFORM, dtype=dtype)

    def build(self, *_):
        self.logit.build()
        self.built = True

    def call(self, hidden):
        """Args: hidden [B, L, H]. Returns float32 [B, L]."""
        batch, length, width = ops.shape(hidden)
        logits = self.logit(ops.reshape(hidden, (-1, width)))
        return ops.cast(ops.reshape(logits, (batch, length)), "float32")


class CopyHead(TokenLogit):
    """Its logit is positive where the token should stay as it is."""


class BaselineHead(TokenLogit):
    """Its logit is that of the discriminator being right about the token that is sampled here."""


class SelectionHead(keras.layers.Layer):
    """Tells a position's token among a few, by their embeddings (TEAMS, arXiv 2106.00139)."""

    def __init__(self, config: ModelConfig, embeddings: Embeddings, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._embeddings, size = embeddings, embeddings.size
        self.dense = Dense(config.hidden_size, size, name="dense", dtype=dtype)
        self.layer_norm = LayerNorm(size, config.layer_norm_epsilon, name="layer_norm", dtype=dtype)

    def build(self, *_):
        self.dense.build()
        self.layer_norm.build()
        self.built = True

    def call(self, hidden, positions, candidates):
        """Scores the candidates.

        Args:
            hidden: [B, L, H] encoder output.
            positions: int32 [B, M].
            candidates: int32 [B*M, K], tokens.

        Returns:
            float32 [B*M, K] logits.
        """
        vectors = self.layer_norm(gelu(self.dense(at_positions(hidden, positions))))
        table = self._embeddings.output_weights("float32")
        rows = ops.take(table, candidates, axis=0)
        return ops.sum(ops.cast(vectors, "float32")[:, None] * rows, axis=-1)
