"""Attention of a batch of rows in training, without all its weights at a time where they are many.

Shapes: rows B, heads N, tokens of a row L, size of a head D, blocks of a row K.
"""

import math

import keras
from keras import ops

from electra_tf.models import long_rows, windows
from electra_tf.models.blocks import are_compiled, block, in_turn
from electra_tf.models.randomness import drop, drop_keeping_mask, key_of_rows
from electra_tf.models.visibility import Visibility

# Scores of [B, N, L, L] that are computed together: 32 MB in bfloat16, which a GPU's cache holds.
MANY_SCORES = 1 << 24


def attend(
    queries, keys, values, seen: Visibility, dropout=None, rate: float = 0.0, window: int = 0
):
    """What the heads see.

    Without dropout of the weights JAX has one kernel for all of it on a GPU (cuDNN's), in which no
    weight ever reaches memory. With dropout few scores are computed by the plain formula, and
    many some rows at a time, or some queries where the scores of one row are many; the gradient
    then computes them again instead of keeping them.

    Args:
        queries, keys, values: [B, N, L, D].
        seen: which tokens see which.
        dropout: Dropout, or None for no dropout.
        rate: share of the weights that is dropped.
        window: tokens that one sees to each side; 0: all. In long rows the scores beyond it are not
            computed.

    Returns:
        [B, N, L, D].
    """
    key = None if dropout is None else dropout.key(rate)
    _, heads, length, _ = queries.shape
    is_static = None not in queries.shape
    if window and is_static and length > 3 * window:
        queries, keys, values = (windows.blocks(array, window) for array in (queries, keys, values))
        keys, values = windows.with_neighbours(keys), windows.with_neighbours(values)
        context = _attend(queries, keys, values, seen.in_blocks(window), key, rate)
        return windows.tokens(context, length)
    if is_static and heads * length**2 > MANY_SCORES and not _is_fused(key):
        return long_rows.attend(queries, keys, values, seen, key, rate, window, MANY_SCORES)
    return _attend(queries, keys, values, seen.whole(window), key, rate)


def _is_fused(key):
    return key is None and keras.backend.backend() == "jax"


def _attend(queries, keys, values, bias, key, rate):
    """The same of one block or of several, [B, N, (K,) Q, D], with the scores' bias."""
    if _is_fused(key):
        return _fused(queries, keys, values, bias)
    shape = queries.shape[:-1] + keys.shape[-2:-1]
    if None in shape or math.prod(shape) <= MANY_SCORES:
        scores = ops.matmul(_scaled(queries), ops.swapaxes(keys, -1, -2))
        return ops.matmul(_weights(scores, bias, values.dtype, key, rate), values)
    batch = shape[0]
    rows = max(
        rows
        for rows in range(1, batch + 1)
        if batch % rows == 0 and (rows == 1 or rows * math.prod(shape[1:]) <= MANY_SCORES)
    )
    return _by_rows(queries, keys, values, bias, key, rate, rows)


def _fused(queries, keys, values, bias):
    def turned(array):  # [B, N, (K,) Q, D] to [B * K, Q, N, D]
        array = ops.moveaxis(array, 1, -2)
        return ops.reshape(array, (-1, *array.shape[-3:]))

    shape = (*queries.shape[:1], 1, *queries.shape[2:-1], keys.shape[-2])
    seen = ops.broadcast_to(bias >= 0.0, shape)  # cuDNN takes no shorter mask
    seen = ops.reshape(seen, (-1, 1, *shape[-2:]))
    context = ops.dot_product_attention(*map(turned, (queries, keys, values)), mask=seen)
    shape = (queries.shape[0], *queries.shape[2:-1], *context.shape[-2:])
    return ops.moveaxis(ops.reshape(context, shape), -2, 1)


def _weights(scores, bias, dtype, key, rate):
    """Softmax of scores [B, N, (K,) Q, L] with dropout, in `dtype`."""
    if not are_compiled():
        weights = ops.cast(ops.softmax(ops.cast(scores, "float32") + bias), dtype)
        return drop_keeping_mask(weights, key, rate)

    @ops.custom_gradient
    def dropped(scores):
        weights, output = _softmax(scores, bias, key, rate=rate, dtype=dtype)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return _softmax_gradient(upstream, weights, key, rate=rate, dtype=scores.dtype)

        return output, gradient

    return dropped(scores)


@block
def _softmax(scores, bias, key, *, rate, dtype):
    """Returns (weights, the same after dropout)."""
    weights = ops.cast(ops.softmax(ops.cast(scores, "float32") + bias), dtype)
    return weights, drop(weights, key, rate)


@block
def _softmax_gradient(upstream, weights, key, *, rate, dtype):
    by_weights = ops.cast(drop(upstream, key, rate), "float32")
    weights = ops.cast(weights, "float32")
    mean = ops.sum(weights * by_weights, axis=-1, keepdims=True)
    return ops.cast(weights * (by_weights - mean), dtype)


def _scaled(queries):
    return queries * ops.cast(1.0 / math.sqrt(queries.shape[-1]), queries.dtype)


def _scores(queries, keys, bias):
    return ops.cast(ops.matmul(_scaled(queries), ops.swapaxes(keys, -1, -2)), "float32") + bias


def _by_rows(queries, keys, values, bias, key, rate, rows):
    """Attention of `rows` rows after the other.

    Args:
        key: of the whole batch's dropout, or None.
        rate: of dropout.
        rows: a divisor of B.
    """

    def parts(*arrays):
        return [ops.reshape(array, (-1, rows, *array.shape[1:])) for array in arrays]

    def whole(parts):
        return ops.reshape(parts, (-1, *parts.shape[2:]))

    firsts = ops.arange(0, queries.shape[0], rows, dtype="int32")
    fixed = *parts(bias), firsts

    @ops.custom_gradient
    def attention(queries, keys, values):
        def forward(part):
            queries, keys, values, bias, first = part
            scores = _scores(queries, keys, bias)
            top = ops.max(scores, axis=-1, keepdims=True)
            weights = ops.exp(scores - top)
            total = ops.sum(weights, axis=-1, keepdims=True)
            weights = drop(weights / total, key_of_rows(key, first, rows), rate)
            return ops.matmul(ops.cast(weights, values.dtype), values), top + ops.log(total)

        inputs = parts(queries, keys, values)
        context, log_sums = in_turn(forward, (*inputs, *fixed))

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream

            def backward(part):
                upstream, context, log_sums, queries, keys, values, bias, first = part
                of_part = key_of_rows(key, first, rows)
                weights = ops.exp(_scores(queries, keys, bias) - log_sums)
                by_weights = ops.cast(ops.matmul(upstream, ops.swapaxes(values, -1, -2)), "float32")
                # Of softmax: the weighted mean of by_weights, which the result holds already.
                mean = ops.sum(
                    ops.cast(upstream, "float32") * ops.cast(context, "float32"), -1, keepdims=True
                )
                by_scores = weights * (drop(by_weights, of_part, rate) - mean)
                by_scores = ops.cast(by_scores / math.sqrt(queries.shape[-1]), queries.dtype)
                weights = ops.cast(drop(weights, of_part, rate), values.dtype)
                return (
                    ops.matmul(by_scores, keys),
                    ops.matmul(ops.swapaxes(by_scores, -1, -2), queries),
                    ops.matmul(ops.swapaxes(weights, -1, -2), upstream),
                )

            results = in_turn(backward, (*parts(upstream), context, log_sums, *inputs, *fixed))
            return tuple(map(whole, results))

        return whole(context), gradient

    return attention(queries, keys, values)
