"""Building blocks of the transformer, on `keras.ops` alone.

All of them work on flat tokens, [B*L, width]: matrix products stay two-dimensional, and only
the attention looks at examples. Weights are created empty; `initialization.py` fills them.
"""

import math

import keras
from keras import ops

MASKED_SCORE = -10_000.0  # added to attention scores of tokens that must not be seen


class Dense(keras.layers.Layer):
    """`inputs @ kernel + bias` for inputs [T, in]."""

    def __init__(self, in_size: int, out_size: int, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._sizes = in_size, out_size

    def build(self, *_):
        self.kernel = self.add_weight(name="kernel", shape=self._sizes, initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=self._sizes[1:], initializer="zeros")
        self.built = True

    def call(self, inputs):
        # ops.add, not +: it becomes a BiasAdd, whose gradient is much quicker on the CPU.
        return ops.add(ops.matmul(inputs, self.kernel), self.bias)


class LayerNorm(keras.layers.Layer):
    """Layer normalisation of [T, size] over the last axis; statistics in float32.

    The gradient is written out: automatic differentiation of the formula takes about twice as
    many passes over memory.
    """

    def __init__(self, size: int, epsilon: float, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._size, self.epsilon = size, epsilon

    def build(self, *_):
        self.gamma = self.add_weight(name="gamma", shape=(self._size,), initializer="ones",
                                     autocast=False)
        self.beta = self.add_weight(name="beta", shape=(self._size,), initializer="zeros",
                                    autocast=False)
        self.built = True

    def call(self, inputs):
        epsilon = self.epsilon

        @ops.custom_gradient
        def normalize(inputs, gamma, beta):
            inputs = ops.cast(inputs, "float32")
            centered = inputs - ops.mean(inputs, axis=-1, keepdims=True)
            scale = ops.rsqrt(ops.mean(ops.square(centered), axis=-1, keepdims=True) + epsilon)
            normalized = centered * scale

            def gradient(*args, upstream=None):
                upstream = ops.cast(args[0] if upstream is None else upstream, "float32")
                by_gamma = upstream * gamma
                along = ops.mean(by_gamma * normalized, axis=-1, keepdims=True)
                inner = (by_gamma - ops.mean(by_gamma, axis=-1, keepdims=True)
                         - normalized * along)
                return (ops.cast(inner * scale, self.compute_dtype),
                        _sum_rows(upstream * normalized), _sum_rows(upstream))

            return ops.cast(normalized * gamma + beta, self.compute_dtype), gradient

        # Tensors, not variables: a custom gradient may only see what it is given.
        return normalize(inputs, ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32"))


def _sum_rows(rows):
    """Sum of [T, size] over T, as a matrix product: several times quicker on the CPU."""
    return ops.matmul(ops.ones((1, ops.shape(rows)[0]), rows.dtype), rows)[0]


def at_positions(hidden, positions):
    """Hidden states [B, L, H] at int32 positions [B, M]: [B*M, H]."""
    batch, length, width = ops.shape(hidden)
    flat = positions + ops.arange(batch, dtype="int32")[:, None] * length
    return ops.take(ops.reshape(hidden, (-1, width)), ops.reshape(flat, (-1,)), axis=0)


@ops.custom_gradient
def gelu(inputs):
    """Gaussian error linear unit by erf, as in the original (not the tanh approximation)."""
    cdf = 0.5 * ops.erf(inputs * math.sqrt(0.5)) + 0.5

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        density = ops.exp(ops.square(inputs) * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
        return upstream * (cdf + inputs * density)

    return inputs * cdf, gradient


class Attention(keras.layers.Layer):
    """Multi-head self-attention, its output projection, residual and LayerNorm.

    Query, key and value are one matrix product with kernel [H, 3H], in this order.
    """

    def __init__(self, config, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        hidden = config.hidden_size
        self._num_heads, self._head_size = config.num_heads, hidden // config.num_heads
        self._attention_dropout = config.attention_dropout
        self._hidden_dropout = config.hidden_dropout
        self.qkv = Dense(hidden, 3 * hidden, name="qkv", dtype=dtype)
        self.output_dense = Dense(hidden, hidden, name="output", dtype=dtype)
        self.layer_norm = LayerNorm(hidden, config.layer_norm_epsilon, name="layer_norm",
                                    dtype=dtype)

    def build(self, *_):
        for layer in (self.qkv, self.output_dense, self.layer_norm):
            layer.build()
        self.built = True

    def call(self, inputs, score_bias, rng=None):
        """Args: inputs [B*L, H]; score_bias [B, 1, 1 or L, L]; rng DropoutRandom or None."""
        batch, length = ops.shape(score_bias)[0], ops.shape(score_bias)[-1]
        heads, size = self._num_heads, self._head_size
        qkv = ops.reshape(self.qkv(inputs), (batch, length, 3, heads, size))
        query, keys, values = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)  # [B, N, L, D]
        query = query * ops.cast(1.0 / math.sqrt(size), query.dtype)
        scores = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2)))
        # Keras casts a layer's float inputs, the bias too; the softmax is float32.
        weights = ops.softmax(ops.cast(scores, "float32") + ops.cast(score_bias, "float32"))
        weights = ops.cast(weights, inputs.dtype)
        if rng is not None:
            weights = rng.dropout(weights, self._attention_dropout)
        context = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        output = self.output_dense(ops.reshape(context, (-1, heads * size)))
        if rng is not None:
            output = rng.dropout(output, self._hidden_dropout)
        return self.layer_norm(inputs + output)


class FeedForward(keras.layers.Layer):
    """Position-wise feed-forward network with GELU, residual and LayerNorm."""

    def __init__(self, config, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._hidden_dropout = config.hidden_dropout
        self.intermediate = Dense(config.hidden_size, config.intermediate_size,
                                  name="intermediate", dtype=dtype)
        self.output_dense = Dense(config.intermediate_size, config.hidden_size, name="output",
                                  dtype=dtype)
        self.layer_norm = LayerNorm(config.hidden_size, config.layer_norm_epsilon,
                                    name="layer_norm", dtype=dtype)

    def build(self, *_):
        for layer in (self.intermediate, self.output_dense, self.layer_norm):
            layer.build()
        self.built = True

    def call(self, inputs, rng=None):
        """Args: inputs [B*L, H]; rng DropoutRandom or None."""
        output = self.output_dense(gelu(self.intermediate(inputs)))
        if rng is not None:
            output = rng.dropout(output, self._hidden_dropout)
        return self.layer_norm(inputs + output)
