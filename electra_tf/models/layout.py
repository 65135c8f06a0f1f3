"""Where the tokens of a batch stand while a network computes them."""

import functools

from keras import ops

from electra_tf import features
from electra_tf.models import attention
from electra_tf.models.visibility import Visibility


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
        direction: of `visibility`; None: each token sees both sides.
    """

    def __init__(self, batch: dict, direction: str | None = None):
        self._shape = ops.shape(batch[features.INPUT_IDS])
        self._seen = Visibility(batch, direction)

    @functools.cached_property
    def positions(self):
        return self._seen.positions()

    @property
    def row_positions(self):
        return self.positions

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

    def attend(self, queries, keys, values, dropout=None, rate: float = 0.0, window: int = 0):
        """What the heads see, [B, N, L, D].

        Args:
            queries, keys, values: [B, N, L, D].
            dropout: Dropout, or None; `rate` of the attention's weights is dropped.
            window: tokens that one sees to each side; 0: all.
        """
        return attention.attend(queries, keys, values, self._seen, dropout, rate, window)

    def join(self, context):
        """Heads [B, N, L, D] to tokens [T, N*D]."""
        width = context.shape[1] * context.shape[3]
        return ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (-1, width))

    def rows(self, hidden):
        """Tokens [T, H] to rows [B, L, H]."""
        return ops.reshape(hidden, (*self._shape, hidden.shape[-1]))
