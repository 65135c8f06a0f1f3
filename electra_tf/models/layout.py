"""Where the tokens of a batch stand while a network computes them."""

from keras import ops

from electra_tf import features
from electra_tf.models import attention

MASKED_SCORE = -10_000.0  # added to attention scores of tokens that must not be seen
# Directions in which a network reads: each token sees itself and what was read before it.
LEFT_TO_RIGHT, RIGHT_TO_LEFT = "left_to_right", "right_to_left"


class PaddedRows:
    """All places of all rows, padding too: T = B*L. What training runs on.

    Layers see flat tokens [T, width]; what needs rows goes through a layout. Another one, as
    `serving.graph.inference.PackedRows`, has the same attributes and methods.

    Attributes:
        positions: int32, what `tokens` gives for them; None where they count from 0 in every row.
        row_positions: the same as rows, int32 [B, L], or None.

    Args:
        batch: dict with `input_ids` and `input_mask` int32 [B, L]; with `document_ids` too, tokens
            see their own document only and positions count from its first token.
        direction: LEFT_TO_RIGHT or RIGHT_TO_LEFT; None: each token sees both sides.
    """

    def __init__(self, batch: dict, direction: str | None = None):
        self._shape = ops.shape(batch[features.INPUT_IDS])
        self._score_bias, self.positions = _visibility(batch)
        if direction is not None:
            self._score_bias = ops.minimum(self._score_bias, _causal(self._shape[1], direction))
        self.row_positions = self.positions

    def tokens(self, rows):
        """Ids [B, L] as ids of the tokens, of any shape of T numbers."""
        return rows

    def take(self, table, ids):
        """Vectors of tokens: rows of `table` [V, E] for `ids`, [*shape of ids, E]."""
        return ops.take(table, ids, axis=0)

    def take_few(self, table, ids):
        """The same for a table of few rows: a matrix product has the quicker gradient."""
        return ops.matmul(ops.one_hot(ids, table.shape[0], dtype=table.dtype), table)

    def split(self, qkv, num_heads: int):
        """Of tokens [T, 3*N*D]: queries, keys and values, each [B, N, L, D]."""
        qkv = ops.reshape(qkv, (*self._shape, 3, num_heads, qkv.shape[-1] // (3 * num_heads)))
        return ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)

    def attend(self, queries, keys, values, dropout=None, rate: float = 0.0):
        """What the heads see, [B, N, L, D]; `rate` of the attention's weights is dropped."""
        return attention.attend(queries, keys, values, self._score_bias, dropout, rate)

    def join(self, context):
        """Heads [B, N, L, D] to tokens [T, N*D]."""
        width = context.shape[1] * context.shape[3]
        return ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (-1, width))

    def rows(self, hidden):
        """Tokens [T, H] to rows [B, L, H]."""
        return ops.reshape(hidden, (*self._shape, hidden.shape[-1]))


def _visibility(batch):
    """Returns (score bias float32 [B, 1, 1 or L, L], position ids [B, L] or None)."""
    if features.DOCUMENT_IDS not in batch:
        # Not [:, None, None, :], which TFLite's converter has no op for.
        visible = ops.expand_dims(ops.cast(batch[features.INPUT_MASK], "float32"), (1, 2))
        return (1.0 - visible) * MASKED_SCORE, None
    documents = batch[features.DOCUMENT_IDS]
    same = ops.cast(
        ops.logical_and(documents[:, :, None] == documents[:, None, :], documents[:, None, :] > 0),
        "float32",
    )
    earlier = ops.tril(same, k=-1)  # earlier tokens of the same document
    position_ids = ops.cast(ops.sum(earlier, axis=-1), "int32")
    return (1.0 - same[:, None]) * MASKED_SCORE, position_ids


def _causal(length, direction):
    """Score bias float32 [L, L] of a direction."""
    seen = ops.ones((length, length), "float32")
    seen = ops.tril(seen) if direction == LEFT_TO_RIGHT else ops.triu(seen)
    return (1.0 - seen) * MASKED_SCORE
