"""Losses as sums over tokens; the training step divides once by the global weight.

Section 2 of the paper. Everything is float32.
"""

from keras import ops

from electra_tf.objectives.sampling import block_log_sums


def token_cross_entropy(logits, ids, size: int):
    """Cross-entropy of the vocabulary softmax, and what sampling needs of the same pass.

    Args:
        logits: float32 [T, V'], V' a multiple of `size`.
        ids: int32 [T], the right tokens.
        size: block size of `sampling`.

    Returns:
        (losses float32 [T], block log-sums float32 [T, V' / size] without gradient).
    """

    @ops.custom_gradient
    def cross_entropy(logits):
        log_sums = block_log_sums(logits, size)
        normalizer = ops.logsumexp(log_sums, axis=-1)
        losses = normalizer - ops.take_along_axis(logits, ids[:, None], axis=-1)[:, 0]

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            if isinstance(upstream, tuple):  # JAX gives all outputs' gradients as one argument
                upstream = upstream[0]
            weighted = ops.exp(logits - (normalizer - ops.log(upstream))[:, None])
            rows = ops.arange(logits.shape[0], dtype="int32")
            return ops.scatter_update(
                weighted, ops.stack([rows, ids], axis=-1),
                ops.take_along_axis(weighted, ids[:, None], axis=-1)[:, 0] - upstream)

        return (losses, log_sums), gradient

    return cross_entropy(logits)


def binary_cross_entropy(logits, labels):
    """Cross-entropy of sigmoid(logits) against labels in {0, 1}, element by element, float32."""
    return ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))
