"""Exact sampling from a softmax over the vocabulary, with little noise and one pass.

The vocabulary is cut into about sqrt(V) blocks of about sqrt(V) tokens. Drawing first a block
by its total probability, then a token inside the block, is the same distribution as drawing
the token at once, and needs 2 sqrt(V) random numbers instead of V. Both draws are Gumbel-max,
so rounding in the logits changes a draw only at near ties (an inverse-CDF sampler is not as
robust). The block totals also give the softmax's normaliser, which the loss needs anyway.
"""

import dataclasses
import math
from typing import Any

from keras import ops

from electra_tf.models.randomness import Draws

IMPOSSIBLE = -1e9  # logit of a token that is never drawn


def block_size(vocab_size: int) -> int:
    """Tokens per block: about sqrt(V), and a multiple of 8, to which matrix products are padded."""
    return 8 * (math.isqrt(vocab_size - 1) // 8 + 1)


def block_log_sums(blocks, tops):
    """Log of the summed exponentials of each block.

    Args:
        blocks: float32 [T, N, S], logits of N blocks.
        tops: float32 [T, N], the largest of each block.

    Returns:
        float32 [T, N]; -inf for a block far below the row's largest logit.
    """
    top = ops.max(tops, axis=-1)[:, None]
    return ops.log(ops.sum(ops.exp(blocks - top[:, :, None]), axis=-1)) + top


def largest_in_block(blocks, block, noise=None):
    """Place of the largest of one block in each row, counted from the first block.

    Args:
        blocks: float32 [T, N, S].
        block: int32 [T], which block.
        noise: added before, float32 [T, S], or None.

    Returns:
        int32 [T].
    """
    inside = ops.take_along_axis(blocks, block[:, None, None], axis=1)[:, 0]
    inside = inside if noise is None else inside + noise
    return block * blocks.shape[-1] + ops.cast(ops.argmax(inside, axis=-1), "int32")


def noise(draws: Draws, shape: tuple[int, int], vocab_size: int, name: str = ""):
    """Gumbel noise of a `Sampler` for int32 [B, M] tokens: of blocks, and of tokens in a block.

    Args:
        draws: of the rows.
        shape: (B, M).
        vocab_size: of the softmax.
        name: what is drawn; other names give independent noise.

    Returns:
        (float32 [B*M, number of blocks], float32 [B*M, S]).
    """
    (rows, slots), block = shape, block_size(vocab_size)
    block_noise = draws.gumbel(f"{name}blocks", rows, (slots, -(-vocab_size // block)))
    token_noise = draws.gumbel(f"{name}tokens", rows, (slots, block))
    return (
        ops.reshape(block_noise, (rows * slots, -1)),
        ops.reshape(token_noise, (rows * slots, block)),
    )


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How one token per row is drawn.

    Attributes:
        block_noise: Gumbel float32 [T, number of blocks].
        token_noise: Gumbel float32 [T, S].
        temperature: of the softmax, a number or a float32 scalar.
        disallow: int32 [T] or [T, K], tokens that are not drawn, or None.
    """

    block_noise: Any
    token_noise: Any
    temperature: Any = 1.0
    disallow: Any = None

    @property
    def takes_logits_as_they_are(self) -> bool:
        """Whether it draws from the very softmax whose loss is computed."""
        is_one = isinstance(self.temperature, int | float) and self.temperature == 1
        return is_one and self.disallow is None
