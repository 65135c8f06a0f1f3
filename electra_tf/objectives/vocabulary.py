"""The softmax over the vocabulary in slices: loss, best guess and sample in one pass over each.

All logits together, [T, V] float32, are the largest tensor of a step, and were written or read ten
times: 600 MB each time for ELECTRA-Small with 256 rows. A slice of them, [T, W], is 48 MB there,
which an H100's cache holds from its matrix product to its last use, and a CPU's with few rows. The
gradient computes the slices again: four products with the table instead of three.
"""

from typing import Any, NamedTuple

from keras import ops

from electra_tf.models.blocks import in_turn
from electra_tf.objectives.sampling import (
    IMPOSSIBLE,
    Sampler,
    block_log_sums,
    block_size,
    largest_in_block,
)

SLICE = 2400  # tokens of a slice, about


class Prediction(NamedTuple):
    """What T predictions of a token come to.

    Attributes:
        losses: cross-entropy of the right tokens, float32 [T]; the only one with a gradient.
        best: the most probable tokens, int32 [T].
        sampled: tokens drawn from the softmax, int32 [T]; zeros without a sampler.
    """

    losses: Any
    best: Any
    sampled: Any


def predict_tokens(vectors, table, bias, ids, sampler: Sampler | None = None) -> Prediction:
    """Predicts tokens by the logits `vectors @ table.T + bias`.

    Args:
        vectors: [T, E].
        table: [V, E] of the same dtype, in which the products are computed.
        bias: float32 [V].
        ids: int32 [T], the right tokens, or others whose -log p is wanted.
        sampler: noise for `block_size(V)` tokens per block, or None.
    """
    slices = _Slices(table.shape[0])

    @ops.custom_gradient
    def predict(vectors, table, bias):
        def of_slice(part):
            table, bias, first, block_noise = part
            logits = _logits(vectors, table, bias)
            blocks = slices.blocks(logits)
            tops = ops.max(blocks, axis=-1)
            log_sums = block_log_sums(blocks, tops)
            block = ops.cast(ops.argmax(tops, axis=-1), "int32")
            best = largest_in_block(blocks, block)
            column, _ = slices.column(ids, first)
            right = ops.take_along_axis(logits, column[:, None], axis=-1)[:, 0]
            top = ops.max(tops, axis=-1)
            if sampler is None:
                return log_sums, right, top, first + best, top, best
            score, drawn = _draw(slices, sampler, logits, log_sums, first, block_noise)
            return log_sums, right, top, first + best, score, first + drawn

        noise = ops.zeros((ids.shape[0], 1)) if sampler is None else sampler.block_noise
        parts = *slices.cut(table, bias), slices.firsts(), slices.cut_blocks(noise)
        log_sums, right, top, best, score, drawn = in_turn(of_slice, parts)
        normalizer = ops.logsumexp(log_sums, axis=(0, 2))
        losses = normalizer - _of_slice(right, ids // slices.width)
        sampled = ops.zeros_like(ids)
        if sampler is not None:
            sampled = _of_slice(drawn, ops.argmax(score, axis=0))

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            if isinstance(upstream, tuple):  # JAX gives all outputs' gradients as one argument
                upstream = upstream[0]
            # Weights may be negative: their sizes scale rows in the exponent, their signs stand in
            # the small factors of the products, not in what is [T, W].
            size, sign = ops.abs(upstream), ops.sign(upstream)
            shift = (normalizer - ops.log(size))[:, None]
            signed = vectors * ops.cast(sign, vectors.dtype)[:, None]

            def of_slice(part):
                table, bias, first = part
                weighted = ops.exp(_logits(vectors, table, bias) - shift)
                column, inside = slices.column(ids, first)
                old = ops.take_along_axis(weighted, column[:, None], axis=-1)[:, 0]
                new = ops.where(inside, old - size, old)
                weighted = _replace(weighted, column, new)
                by_bias = ops.matmul(sign[None], weighted)[0]
                weighted = ops.cast(weighted, table.dtype)
                by_table = ops.matmul(ops.transpose(weighted), signed)
                return ops.matmul(weighted, table), by_table, by_bias

            by_vectors, by_table, by_bias = in_turn(
                of_slice, (*slices.cut(table, bias), slices.firsts())
            )
            by_vectors = ops.sum(ops.cast(by_vectors, "float32"), axis=0) * sign[:, None]
            return (
                ops.cast(by_vectors, vectors.dtype),
                slices.join(by_table),
                slices.join(by_bias),
            )

        return (losses, _of_slice(best, ops.argmax(top, axis=0)), sampled), gradient

    results: Any = predict(vectors, table, bias)
    return Prediction(*results)


class _Slices:
    """How a vocabulary is cut: K slices of N blocks of S tokens; the last one is padded.

    Attributes:
        width: tokens of a slice, N*S.
    """

    def __init__(self, vocab_size: int):
        self._vocab_size, self._size = vocab_size, block_size(vocab_size)
        blocks = -(-vocab_size // self._size)
        number = -(-vocab_size // SLICE)
        self._blocks = -(-blocks // number)
        self._number = -(-blocks // self._blocks)
        self.width = self._blocks * self._size

    def cut(self, table, bias):
        """[V, E] and [V] as [K, W, E] and [K, W]; padding is `IMPOSSIBLE`."""
        padding = self._number * self.width - self._vocab_size
        if padding:
            table = ops.pad(table, ((0, padding), (0, 0)))
            bias = ops.pad(bias, ((0, padding),), constant_values=IMPOSSIBLE)
        return (
            ops.reshape(table, (self._number, self.width, table.shape[-1])),
            ops.reshape(bias, (self._number, self.width)),
        )

    def join(self, parts):
        """[K, W, ...] as [V, ...]."""
        return ops.reshape(parts, (-1, *parts.shape[2:]))[: self._vocab_size]

    def cut_blocks(self, noise):
        """[T, number of blocks] as [K, T, N]."""
        padding = self._number * self._blocks - noise.shape[1]
        noise = ops.pad(noise, ((0, 0), (0, padding)))
        return ops.transpose(ops.reshape(noise, (-1, self._number, self._blocks)), (1, 0, 2))

    def firsts(self):
        """First token of each slice, int32 [K]."""
        return ops.arange(self._number, dtype="int32") * self.width

    def blocks(self, logits):
        """[T, W] as [T, N, S]."""
        return ops.reshape(logits, (-1, self._blocks, self._size))

    def column(self, ids, first):
        """(column of each token in the slice that begins with `first`, whether it is in it)."""
        inside = ops.logical_and(ids >= first, ids < first + self.width)
        return ops.clip(ids - first, 0, self.width - 1), inside


def _logits(vectors, table, bias):
    return ops.cast(ops.matmul(vectors, ops.transpose(table)), "float32") + bias


def _draw(slices, sampler, logits, log_sums, first, block_noise):
    """(score [T] by which the slices' draws compete, drawn column [T]) of one slice."""
    if not sampler.takes_logits_as_they_are:
        logits = logits / sampler.temperature
        if sampler.disallow is not None:
            of_each = ops.reshape(sampler.disallow, (logits.shape[0], -1))
            for number in range(of_each.shape[1]):
                column, inside = slices.column(of_each[:, number], first)
                old = ops.take_along_axis(logits, column[:, None], axis=-1)[:, 0]
                logits = _replace(logits, column, ops.where(inside, IMPOSSIBLE, old))
        blocks = slices.blocks(logits)
        log_sums = block_log_sums(blocks, ops.max(blocks, axis=-1))
    scores = log_sums + block_noise
    block = ops.cast(ops.argmax(scores, axis=-1), "int32")
    drawn = largest_in_block(slices.blocks(logits), block, sampler.token_noise)
    return ops.max(scores, axis=-1), drawn


def _replace(rows, column, values):
    """[T, W] with `values` [T] in one column of each row."""
    place = ops.stack([ops.arange(rows.shape[0], dtype="int32"), column], axis=-1)
    return ops.scatter_update(rows, place, values)


def _of_slice(values, number):
    """[T] of [K, T]: in each column that of slice `number` [T]."""
    return ops.take_along_axis(values, ops.cast(number, "int32")[None], axis=0)[0]
