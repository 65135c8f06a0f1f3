"""A transformer layer: attention and feed-forward, with residual and normalisation."""

import keras

from electra_tf.config import ModelConfig
from electra_tf.models.layers import Dense, LayerNorm, gelu


class TransformerLayer(keras.layers.Layer):
    """One layer: attention, then feed-forward, each with dropout, residual and LayerNorm after it.

    Args:
        config: sizes and dropout.
        positions: the embeddings' scheme of positions.
    """

    def __init__(self, config: ModelConfig, positions, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._dropout = config.hidden_dropout

        def new_norm():
            return LayerNorm(
                config.hidden_size, config.layer_norm_epsilon, name="layer_norm", dtype=dtype
            )

        self.attention = Attention(config, positions, name="attention", dtype=dtype)
        self.attention_norm = new_norm()
        self.feed_forward = FeedForward(config, name="feed_forward", dtype=dtype)
        self.feed_forward_norm = new_norm()

    def build(self, *_):
        for block, norm in (
            (self.attention, self.attention_norm),
            (self.feed_forward, self.feed_forward_norm),
        ):
            block.build()
            with keras.name_scope(block.name):  # where checkpoints have it
                norm.build()
        self.built = True

    def call(self, hidden, layout, dropout=None):
        """Args: hidden [T, H]; layout of the tokens; dropout Dropout or None."""
        output = self.attention(hidden, layout=layout, dropout=dropout)
        drop = {"dropout": dropout, "rate": self._dropout}
        hidden = self.attention_norm(hidden, output, **drop)
        return self.feed_forward_norm(hidden, self.feed_forward(hidden), **drop)


class Attention(keras.layers.Layer):
    """Multi-head self-attention with its output projection.

    Query, key and value are one matrix product with kernel [H, 3H], in this order.
    """

    def __init__(self, config: ModelConfig, positions, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        hidden = config.hidden_size
        self._num_heads, self._dropout = config.num_heads, config.attention_dropout
        self._positions = positions
        self.qkv = Dense(hidden, 3 * hidden, name="qkv", dtype=dtype)
        self.output_dense = Dense(hidden, hidden, name="output", dtype=dtype)

    def build(self, *_):
        self.qkv.build()
        self.output_dense.build()
        self.built = True

    def call(self, inputs, layout, dropout=None):
        """Args: inputs [T, H]; layout of the tokens; dropout Dropout or None."""
        queries, keys, values = layout.split(self.qkv(inputs), self._num_heads)
        queries, keys = self._positions.apply_to_attention(queries, keys, layout)
        context = layout.attend(queries, keys, values, dropout, self._dropout)
        return self.output_dense(layout.join(context))


class FeedForward(keras.layers.Layer):
    """Position-wise feed-forward network with GELU."""

    def __init__(self, config: ModelConfig, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        hidden, wide = config.hidden_size, config.intermediate_size
        self.intermediate = Dense(hidden, wide, name="intermediate", dtype=dtype)
        self.output_dense = Dense(wide, hidden, name="output", dtype=dtype)

    def build(self, *_):
        self.intermediate.build()
        self.output_dense.build()
        self.built = True

    def call(self, inputs):
        """Args: inputs [T, H]."""
        return self.output_dense(gelu(self.intermediate(inputs)))
