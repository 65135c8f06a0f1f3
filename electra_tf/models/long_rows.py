"""Attention of rows so long that the weights of one are too many: some queries at a time.

The gradient computes them again: once more by queries, for theirs, and once by keys, for those of
keys and values.

Shapes: rows B, heads N, tokens of a row L, size of a head D, tokens of a part P.
"""

import math

import numpy as np
from keras import ops

from electra_tf.models.blocks import in_turn
from electra_tf.models.randomness import drop_numbered
from electra_tf.models.visibility import Visibility


def attend(queries, keys, values, seen: Visibility, key, rate, window: int, many_scores: int):
    """What the heads see, of [B, N, L, D]; arguments as of `attention.attend`.

    Args:
        key: of the dropout, or None.
        many_scores: number of scores that are computed together.
    """
    batch, heads, length, width = queries.shape
    size = max(1, many_scores // (batch * heads * length))
    scale = 1.0 / math.sqrt(width)
    places = ops.arange(length, dtype="int32")
    first = np.arange(batch * heads, dtype=np.uint64).reshape(batch, heads, 1, 1) * length**2
    first, of_row = first.astype(np.uint32), np.uint32(heads * length**2 % 2**32)

    def dropped(weights, of_queries, of_keys):
        """Dropout by the numbers that the weights have among all: the same in all parts."""
        if key is None:
            return weights
        of_queries, of_keys = ops.cast(of_queries, "uint32"), ops.cast(of_keys, "uint32")
        numbers = of_queries[:, None] * np.uint32(length) + of_keys[None]
        return drop_numbered(weights, key, rate, ops.convert_to_tensor(first) + numbers, of_row)

    def scores(some, of_queries, ids, others, of_keys, key_ids):
        bias = seen.between(ids, key_ids, of_keys[None] - of_queries[:, None], window)
        scaled = some * ops.cast(scale, some.dtype)
        return ops.cast(ops.matmul(scaled, ops.swapaxes(others, -1, -2)), "float32") + bias[:, None]

    def parts(array):
        """[B, N, L, D] or [B, L] as [L / P, B, N, P, D] or [L / P, B, P], zeros in the end."""
        axis = 2 if len(array.shape) == 4 else 1
        padding = [(0, 0)] * len(array.shape)
        padding[axis] = (0, -length % size)
        array = ops.pad(array, padding)
        shape = (*array.shape[:axis], -1, size, *array.shape[axis + 1 :])
        return ops.moveaxis(ops.reshape(array, shape), axis, 0)

    def whole(array):
        """[L / P, B, N, P, D] as [B, N, L, D]."""
        array = ops.moveaxis(array, 0, 2)
        return ops.reshape(array, (batch, heads, -1, array.shape[-1]))[:, :, :length]

    ids = parts(seen.ids)
    all_places = ops.reshape(ops.arange(ids.shape[0] * size, dtype="int32"), (ids.shape[0], size))

    @ops.custom_gradient
    def attention(queries, keys, values):
        def forward(part):
            some, of_part, ids = part
            logits = scores(some, of_part, ids, keys, places, seen.ids)
            top = ops.max(logits, axis=-1, keepdims=True)
            weights = ops.exp(logits - top)
            total = ops.sum(weights, axis=-1, keepdims=True)
            weights = dropped(weights / total, of_part, places)
            return ops.matmul(ops.cast(weights, values.dtype), values), top + ops.log(total)

        context, log_sums = map(whole, in_turn(forward, (parts(queries), all_places, ids)))

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            # Of softmax: the weighted mean of its gradients, which the result holds already.
            means = ops.sum(
                ops.cast(upstream, "float32") * ops.cast(context, "float32"), -1, keepdims=True
            )

            def of_scores(weights, upstream, values, means, numbers):
                by_weights = ops.cast(ops.matmul(upstream, ops.swapaxes(values, -1, -2)), "float32")
                by_scores = weights * (dropped(by_weights, *numbers) - means)
                return ops.cast(by_scores * scale, queries.dtype)

            def by_queries(part):
                upstream, means, log_sums, some, of_part, ids = part
                logits = scores(some, of_part, ids, keys, places, seen.ids)
                numbers = of_part, places
                by_scores = of_scores(ops.exp(logits - log_sums), upstream, values, means, numbers)
                return (ops.matmul(by_scores, keys),)

            def by_keys(part):
                some, some_values, of_part, key_ids = part
                logits = scores(queries, places, seen.ids, some, of_part, key_ids)
                weights = ops.exp(logits - log_sums)
                numbers = places, of_part
                by_scores = of_scores(weights, upstream, some_values, means, numbers)
                weights = ops.cast(dropped(weights, *numbers), values.dtype)
                return (
                    ops.matmul(ops.swapaxes(by_scores, -1, -2), queries),
                    ops.matmul(ops.swapaxes(weights, -1, -2), upstream),
                )

            of_queries = map(parts, (upstream, means, log_sums, queries))
            (first,) = in_turn(by_queries, (*of_queries, all_places, ids))
            others = in_turn(by_keys, (parts(keys), parts(values), all_places, ids))
            return tuple(map(whole, (first, *others)))

        return context, gradient

    return attention(queries, keys, values)
