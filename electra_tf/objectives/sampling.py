"""Exact sampling from a softmax over the vocabulary, with little noise and one pass.

The vocabulary is cut into about sqrt(V) blocks of about sqrt(V) tokens. Drawing first a block
by its total probability, then a token inside the block, is the same distribution as drawing
the token at once, and needs 2 sqrt(V) random numbers instead of V. Both draws are Gumbel-max,
so rounding in the logits changes a draw only at near ties (an inverse-CDF sampler is not as
robust). The block totals also give the softmax's normaliser, which the loss needs anyway.
"""

import math

from keras import ops


def block_size(vocab_size: int) -> int:
    """Tokens per block; logits must be padded to a multiple of it."""
    return math.isqrt(vocab_size - 1) + 1


def block_log_sums(logits, size: int):
    """Log of the summed exponentials of each block.

    Args:
        logits: float32 [T, V'], V' a multiple of `size`.

    Returns:
        float32 [T, V' / size].
    """
    blocks = ops.reshape(logits, (-1, logits.shape[-1] // size, size))
    top = ops.max(ops.max(blocks, axis=-1), axis=-1)[:, None]
    sums = ops.sum(ops.exp(blocks - top[:, :, None]), axis=-1)
    return ops.log(sums) + top


def sample(logits, log_sums, block_noise, token_noise):
    """Draws one token per row from softmax(logits).

    Args:
        logits: float32 [T, V'].
        log_sums: float32 [T, V' / S], `block_log_sums` of the same logits.
        block_noise: Gumbel float32 [T, V' / S].
        token_noise: Gumbel float32 [T, S].

    Returns:
        int32 [T].
    """
    num_blocks, size = log_sums.shape[-1], token_noise.shape[-1]
    block = ops.argmax(log_sums + block_noise, axis=-1)
    blocks = ops.reshape(logits, (-1, num_blocks, size))
    inside = ops.take_along_axis(blocks, ops.cast(block, "int32")[:, None, None], axis=1)[:, 0]
    token = ops.argmax(inside + token_noise, axis=-1)
    return ops.cast(block, "int32") * size + ops.cast(token, "int32")


def most_probable(logits, size: int):
    """The argmax of each row, int32 [T], found block by block: cheaper than over all of V."""
    blocks = ops.reshape(logits, (-1, logits.shape[-1] // size, size))
    block = ops.cast(ops.argmax(ops.max(blocks, axis=-1), axis=-1), "int32")
    inside = ops.take_along_axis(blocks, block[:, None, None], axis=1)[:, 0]
    return block * size + ops.cast(ops.argmax(inside, axis=-1), "int32")
