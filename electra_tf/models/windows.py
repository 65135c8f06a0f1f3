"""Local attention block by block, so that work and memory grow with the length, not its square.

A row is cut into blocks as long as the window is to each side. The tokens of a block then see
nothing but their own block and its two neighbours.

Shapes: rows B, heads N, tokens of a row L, size of a head D, blocks K, tokens of a block W.
"""

from keras import ops


def blocks(values, size: int):
    """Blocks of [B, N, L, D], zeros after the last token: [B, N, K, W, D]."""
    batch, heads, length, width = ops.shape(values)
    values = ops.pad(values, ((0, 0), (0, 0), (0, -length % size), (0, 0)))
    return ops.reshape(values, (batch, heads, -1, size, width))


def with_neighbours(values):
    """Blocks [B, N, K, W, D], each between its neighbours: [B, N, K, 3*W, D]."""
    padded = ops.pad(values, ((0, 0), (0, 0), (1, 1), (0, 0), (0, 0)))
    return ops.concatenate((padded[:, :, :-2], padded[:, :, 1:-1], padded[:, :, 2:]), axis=3)


def tokens(values, length):
    """What `blocks` makes of [B, N, L, D], back."""
    batch, heads, _, _, width = ops.shape(values)
    return ops.reshape(values, (batch, heads, -1, width))[:, :, :length]
