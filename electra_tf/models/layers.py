"""Building blocks of the networks, on `keras.ops` alone.

All of them work on flat tokens, [T, width]: matrix products stay two-dimensional, and only the
attention looks at rows, through a `layout`.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator

import keras
from keras import ops

from electra_tf.models.blocks import are_compiled, block
from electra_tf.models.initialization import ONES, TRUNCATED_NORMAL, ZEROS, add_weight
from electra_tf.models.randomness import drop

_FOR_INFERENCE = contextvars.ContextVar("for_inference", default=False)


@contextlib.contextmanager
def for_inference() -> Iterator[None]:
    """What is computed or traced in this block is never differentiated.

    `LayerNorm` and `gelu` then leave out the gradients that they define, which no file can hold,
    and are written as TensorFlow's graph optimizer and TFLite's converter know them. The numbers
    differ by rounding.
    """
    token = _FOR_INFERENCE.set(True)
    try:
        yield
    finally:
        _FOR_INFERENCE.reset(token)


def is_for_inference() -> bool:
    """Whether this is inside of a `for_inference`."""
    return _FOR_INFERENCE.get()


class Dense(keras.layers.Layer):
    """`inputs @ kernel + bias` for inputs [T, in].

    Args:
        in_size, out_size: of a token.
        start: the kernel's; `scale` is a factor of its truncated normal.
        has_bias: whether a bias is added.
    """

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        name: str,
        start: str = TRUNCATED_NORMAL,
        scale: float = 1.0,
        has_bias: bool = True,
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._sizes, self._start, self._scale = (in_size, out_size), start, scale
        self._has_bias = has_bias

    def build(self, *_):
        self.kernel = add_weight(self, "kernel", self._sizes, self._start, scale=self._scale)
        if self._has_bias:
            self.bias = add_weight(self, "bias", self._sizes[1:], ZEROS)
        self.built = True

    def call(self, inputs):
        if not self._has_bias:
            return ops.matmul(inputs, self.kernel)
        # ops.add, not +: it becomes a BiasAdd, whose gradient is much quicker on the CPU, and
        # which TensorFlow joins with the matrix product.
        return ops.add(ops.matmul(inputs, self.kernel), self.bias)


class LayerNorm(keras.layers.Layer):
    """Layer normalisation of [T, size] over the last axis; statistics in float32.

    The input may have any float dtype, the output has the compute dtype. The gradient is written
    out: automatic differentiation of the formula takes about twice as many passes over memory.
    """

    def __init__(self, size: int, epsilon: float, *, name: str, has_bias: bool = True, dtype=None):
        super().__init__(name=name, dtype=dtype, autocast=False)
        self._size, self.epsilon, self._has_bias = size, epsilon, has_bias

    def build(self, *_):
        self.gamma = add_weight(self, "gamma", (self._size,), ONES, autocast=False)
        if self._has_bias:
            self.beta = add_weight(self, "beta", (self._size,), ZEROS, autocast=False)
        self.built = True

    def call(self, inputs, update=None, dropout=None, rate: float = 0.0):
        """Normalises `inputs`, or with an `update` of the same shape inputs + dropout(update)."""
        # Tensors, not variables: a custom gradient may only see what it is given.
        gamma = ops.cast(self.gamma, "float32")
        beta = ops.cast(self.beta, "float32") if self._has_bias else ops.zeros_like(gamma)
        settings = {"epsilon": self.epsilon, "dtype": self.compute_dtype}
        if _FOR_INFERENCE.get():
            inputs = inputs if update is None else inputs + update
            centered, scale = _centered(inputs, self.epsilon)
            output = centered * (scale * gamma)
            return ops.cast(output + beta if self._has_bias else output, self.compute_dtype)
        if update is not None and not are_compiled():  # then a mask is cheaper than its hash twice
            inputs = inputs + (update if dropout is None else dropout(update, rate))
            update = None
        key = dropout.key(rate) if dropout is not None and update is not None else None
        tensors = (inputs, gamma, beta) if update is None else (inputs, gamma, beta, update)

        @ops.custom_gradient
        def normalize(inputs, gamma, beta, update=None):
            output, normalized, scale = _normalize(
                inputs, gamma, beta, update, key, rate=rate, **settings
            )

            def gradient(*args, upstream=None):
                gradients = _normalize_gradient(
                    args[0] if upstream is None else upstream,
                    normalized,
                    scale,
                    gamma,
                    key,
                    rate=rate,
                    dtype=inputs.dtype,
                )
                return gradients if update is not None else gradients[:3]

            return output, gradient

        return normalize(*tensors)


@block
def _normalize(inputs, gamma, beta, update, key, *, rate, epsilon, dtype):
    """Returns (output in `dtype`, the same before gamma and beta, 1 / standard deviation)."""
    if update is not None:
        inputs = inputs + drop(update, key, rate)
    centered, scale = _centered(inputs, epsilon)
    normalized = centered * scale
    return ops.cast(normalized * gamma + beta, dtype), normalized, scale


@block
def _normalize_gradient(upstream, normalized, scale, gamma, key, *, rate, dtype):
    """Gradients of inputs, gamma, beta and update."""
    upstream = ops.cast(upstream, "float32")
    by_gamma = upstream * gamma
    along = ops.mean(by_gamma * normalized, axis=-1, keepdims=True)
    inner = by_gamma - ops.mean(by_gamma, axis=-1, keepdims=True) - normalized * along
    inner = ops.cast(inner * scale, dtype)
    return inner, _sum_rows(upstream * normalized), _sum_rows(upstream), drop(inner, key, rate)


def _centered(inputs, epsilon):
    """Returns (inputs without their mean [T, size], 1 / standard deviation [T, 1])."""
    inputs = ops.cast(inputs, "float32")
    centered = inputs - ops.mean(inputs, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
    return centered, ops.rsqrt(variance + epsilon)


def _sum_rows(rows):
    """Sum of [T, size] over T, as a matrix product: several times quicker on the CPU."""
    return ops.matmul(ops.ones((1, ops.shape(rows)[0]), rows.dtype), rows)[0]


def at_positions(hidden, positions):
    """Hidden states [B, L, H] at int32 positions [B, M]: [B*M, H]."""
    batch, length, width = ops.shape(hidden)
    flat = positions + ops.arange(batch, dtype="int32")[:, None] * length
    return ops.take(ops.reshape(hidden, (-1, width)), ops.reshape(flat, (-1,)), axis=0)


def gelu(inputs):
    """Gaussian error linear unit by erf, as in the original (not the tanh approximation)."""
    if _FOR_INFERENCE.get():
        # In this order of operations: the pattern that TFLite's converter knows.
        return (inputs * 0.5) * (ops.erf(inputs * math.sqrt(0.5)) + 1.0)
    return _differentiable(_gelu, _gelu_gradient, inputs)


def geglu(inputs):
    """The first half of [T, 2*F] through `gelu`, times the second half, its gate: [T, F]."""
    if not _FOR_INFERENCE.get():
        return _differentiable(_geglu, _geglu_gradient, inputs)
    first, gate = ops.split(inputs, 2, axis=-1)
    return gelu(first) * gate


def _differentiable(function, gradient_of, inputs):
    """A block of `inputs`, whose gradient is the block gradient_of(upstream, inputs)."""

    @ops.custom_gradient
    def differentiable(inputs):
        def gradient(*args, upstream=None):
            return gradient_of(args[0] if upstream is None else upstream, inputs)

        return function(inputs), gradient

    return differentiable(inputs)


@block
def _geglu(inputs):
    first, gate = ops.split(inputs, 2, axis=-1)
    return _gelu(first) * gate


@block
def _geglu_gradient(upstream, inputs):
    first, gate = ops.split(inputs, 2, axis=-1)
    return ops.concatenate((_gelu_gradient(upstream * gate, first), upstream * _gelu(first)), -1)


@block
def _gelu(inputs):
    return inputs * _normal_cdf(inputs)


@block
def _gelu_gradient(upstream, inputs):
    density = ops.exp(ops.square(inputs) * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
    return upstream * (_normal_cdf(inputs) + inputs * density)


def _normal_cdf(inputs):
    return 0.5 * ops.erf(inputs * math.sqrt(0.5)) + 0.5
