"""A transformer layer: attention and feed-forward, with residual and normalisation."""

import math

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.layers import Dense, LayerNorm, geglu, gelu


class TransformerLayer(keras.layers.Layer):
    """One layer: attention, then feed-forward, each with dropout, residual and LayerNorm after it.

    Args:
        config: sizes and dropout.
        positions: the embeddings' scheme of positions.
        window: tokens that one sees to each side; 0: all.
        reads_norm: whether the layer's input is a LayerNorm's output.
    """

    _autocast = True

    def __init__(
        self,
        config: ModelConfig,
        positions,
        *,
        window: int = 0,
        reads_norm: bool = False,
        name: str,
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype, autocast=self._autocast)
        self._dropout = config.hidden_dropout
        self.attention = Attention(config, positions, window, name="attention", dtype=dtype)
        self.attention_norm = self._new_attention_norm(config, reads_norm, dtype)
        self.feed_forward = FeedForward(config, name="feed_forward", dtype=dtype)
        self.feed_forward_norm = new_norm(config, "layer_norm", dtype)

    def _new_attention_norm(self, config, reads_norm, dtype):
        del reads_norm
        return new_norm(config, "layer_norm", dtype)

    def build(self, *_):
        for block, norm in (
            (self.attention, self.attention_norm),
            (self.feed_forward, self.feed_forward_norm),
        ):
            block.build()
            if norm is not None:
                with keras.name_scope(block.name):  # where checkpoints have it
                    norm.build()
        self.built = True

    def call(self, hidden, layout, dropout=None):
        """Args: hidden [T, H]; layout of the tokens; dropout Dropout or None."""
        output = self.attention(hidden, layout=layout, dropout=dropout)
        drop = {"dropout": dropout, "rate": self._dropout}
        hidden = self.attention_norm(hidden, output, **drop)
        return self.feed_forward_norm(hidden, self.feed_forward(hidden), **drop)


class PreNormLayer(TransformerLayer):
    """One layer in which LayerNorm comes before attention and before feed-forward.

    The sum that layers add to is float32 in mixed precision, too: many small numbers come together
    there. A layer whose input is normalised already has no norm before its attention.
    """

    _autocast = False

    def _new_attention_norm(self, config, reads_norm, dtype):
        return None if reads_norm else new_norm(config, "layer_norm", dtype)

    def call(self, hidden, layout, dropout=None):
        """Args: hidden [T, H]; layout of the tokens; dropout Dropout or None. Gives float32."""
        normal = hidden if self.attention_norm is None else self.attention_norm(hidden)
        update = self.attention(normal, layout=layout, dropout=dropout)
        hidden = self._sum(ops.cast(hidden, "float32"), update, dropout)
        update = self.feed_forward(self.feed_forward_norm(hidden))
        return self._sum(hidden, update, dropout)

    def _sum(self, hidden, update, dropout):
        update = update if dropout is None else dropout(update, self._dropout)
        return hidden + ops.cast(update, "float32")


def new_norm(config: ModelConfig, name: str, dtype) -> LayerNorm:
    """A LayerNorm of hidden states."""
    has_bias = config.elements().biases
    return LayerNorm(
        config.hidden_size, config.layer_norm_epsilon, name=name, has_bias=has_bias, dtype=dtype
    )


class Attention(keras.layers.Layer):
    """Multi-head self-attention with its output projection.

    Query, key and value are one matrix product with kernel [H, 3H], in this order.
    """

    def __init__(self, config: ModelConfig, positions, window: int = 0, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        hidden, has_bias = config.hidden_size, config.elements().biases
        self._num_heads, self._dropout = config.num_heads, config.attention_dropout
        self._positions, self._window = positions, window
        self.qkv = Dense(hidden, 3 * hidden, name="qkv", has_bias=has_bias, dtype=dtype)
        self.output_dense = _output_dense(config, hidden, dtype)

    def build(self, *_):
        self.qkv.build()
        self.output_dense.build()
        self.built = True

    def call(self, inputs, layout, dropout=None):
        """Args: inputs [T, H]; layout of the tokens; dropout Dropout or None."""
        queries, keys, values = layout.split(self.qkv(inputs), self._num_heads)
        queries, keys = self._positions.apply_to_attention(queries, keys, layout, self._window)
        context = layout.attend(queries, keys, values, dropout, self._dropout, self._window)
        return self.output_dense(layout.join(context))


class FeedForward(keras.layers.Layer):
    """Position-wise feed-forward network with GELU, or with GELU and a gate (arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        hidden, wide = config.hidden_size, config.intermediate_size
        elements = config.elements()
        has_gate = elements.feed_forward == "geglu"
        self._activation = geglu if has_gate else gelu
        self.intermediate = Dense(
            hidden,
            2 * wide if has_gate else wide,
            name="intermediate",
            has_bias=elements.biases,
            dtype=dtype,
        )
        self.output_dense = _output_dense(config, wide, dtype)

    def build(self, *_):
        self.intermediate.build()
        self.output_dense.build()
        self.built = True

    def call(self, inputs):
        """Args: inputs [T, H]."""
        return self.output_dense(self._activation(self.intermediate(inputs)))


def _output_dense(config: ModelConfig, in_size: int, dtype) -> Dense:
    """The last step of attention or feed-forward, whose output goes into the residual sum."""
    elements = config.elements()
    scale = 1.0 / math.sqrt(2.0 * config.num_layers) if elements.norm == "before" else 1.0
    return Dense(
        in_size,
        config.hidden_size,
        name="output",
        scale=scale,
        has_bias=elements.biases,
        dtype=dtype,
    )
