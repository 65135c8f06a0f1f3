"""How a server runs the encoder: the model's own layers, no dropout, no work on padding.

A batch of mixed lengths is mostly padding. Here all but the attention runs on the tokens alone,
[T, width] of them. The attention is written for TensorFlow's graph optimizer, which makes one op
of product, scale and mask; it does so with the same numbers where it can, and leaves plain ops
where it cannot. Only core TensorFlow ops are used.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from electra_tf import features
from electra_tf.models import windows
from electra_tf.models.encoder import Encoder
from electra_tf.models.layers import for_inference
from electra_tf.models.visibility import MASKED_SCORE, Visibility, window_bias

# Of all heads of a batch. On two cores fewer are quicker without oneDNN; ELECTRA-Small has as many
# for one text of 45 tokens.
FEW_SCORES = 8192


def hidden_states(encoder: Encoder, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """What `encoder(batch)` gives, except in padding.

    Args:
        encoder: any, in float32 or mixed precision.
        batch: `input_ids`, `input_mask`, `segment_ids`, int32 [B, L].

    Returns:
        [B, L, H] in the compute dtype, 0 in padding.
    """
    with for_inference():
        return encoder(batch, layout=PackedRows(batch[features.INPUT_MASK]))


class PackedRows:
    """The T tokens of a batch without its padding, row by row; a layout as `PaddedRows` is one.

    Into rows and back it is one gather of vectors each, which splits or joins the heads, adds or
    drops the padding and transposes.

    Attributes:
        positions: int32 [T], place of each token in its row.
        row_positions: None, as rows count from 0.

    Args:
        input_mask: int32 [B, L]; tokens may stand anywhere in their rows.
    """

    row_positions = None

    def __init__(self, input_mask: tf.Tensor):
        is_token = input_mask > 0
        # A batch of nothing but padding is computed in full: there must be a token to point at.
        computed = is_token | ~tf.reduce_any(is_token)
        count = tf.cumsum(tf.cast(tf.reshape(computed, [-1]), tf.int32))
        self._places = tf.cast(tf.where(computed), tf.int32)  # [T, 2]: row, position
        # The number of the token at each place; in padding that of any token.
        self._index = tf.reshape(tf.maximum(count - 1, 0), tf.shape(input_mask))  # [B, L]
        self._mask = tf.cast(is_token, tf.int32)
        self._row, self.positions = tf.unstack(self._places, axis=1)
        self._score_bias = (1.0 - tf.cast(self._mask, tf.float32))[:, None, None] * MASKED_SCORE
        self._ways = {}  # by number of heads: the same in all layers

    def tokens(self, rows: tf.Tensor) -> tf.Tensor:
        """Ids [B, L] as ids of the tokens, [T]."""
        return tf.gather_nd(rows, self._places)

    def take(self, table, ids: tf.Tensor) -> tf.Tensor:
        """Rows of `table` [V, E] for `ids`; another id is an error."""
        return tf.gather(tf.convert_to_tensor(table), ids)

    take_few = take

    def split(self, qkv: tf.Tensor, num_heads: int) -> list[tf.Tensor]:
        """Of tokens [T, 3*N*D]: queries, keys and values, each [B, N, L, D]."""
        size = _known(qkv.shape[1]) // (3 * num_heads)
        return tf.unstack(tf.gather(tf.reshape(qkv, [-1, size]), self._way(num_heads).into), 3)

    def attend(
        self, queries, keys, values, dropout=None, rate: float = 0.0, window: int = 0
    ) -> tf.Tensor:
        """What the heads see, [B, N, L, D]; there is no dropout."""
        assert dropout is None
        if window:
            return tf.cond(
                tf.shape(queries)[2] > 3 * window,
                lambda: self._local(queries, keys, values, window),
                lambda: self._attend(queries, keys, values, self._bias_of(window)),
            )
        return self._attend(queries, keys, values, self._score_bias)

    def _attend(self, queries, keys, values, bias):
        return tf.cond(
            self._way(_known(queries.shape[1])).has_few_scores,
            lambda: _context_of_few(queries, keys, values, bias),
            lambda: _context(queries, keys, values, bias),
        )

    def _bias_of(self, window):
        """Of rows in which a token sees a window, as a whole."""
        return tf.minimum(self._score_bias, window_bias(tf.shape(self._mask)[1], window))

    def _local(self, queries, keys, values, window):
        """The same block by block, for long rows."""
        seen = Visibility({features.INPUT_MASK: self._mask})
        length = tf.shape(queries)[2]
        queries, keys, values = (windows.blocks(each, window) for each in (queries, keys, values))
        keys, values = windows.with_neighbours(keys), windows.with_neighbours(values)
        return windows.tokens(_context(queries, keys, values, seen.in_blocks(window)), length)

    def join(self, context: tf.Tensor) -> tf.Tensor:
        """Heads [B, N, L, D] to tokens [T, N*D]."""
        num_heads, size = _known(context.shape[1]), _known(context.shape[3])
        vectors = tf.gather(tf.reshape(context, [-1, size]), self._way(num_heads).back)
        return tf.reshape(vectors, [-1, num_heads * size])

    def rows(self, hidden: tf.Tensor) -> tf.Tensor:
        """Values [T, ...] of tokens as rows [B, L, ...], 0 in padding."""
        rows = tf.gather(hidden, self._index)
        ones = tf.ones([rows.shape.rank - 2], tf.int32)
        mask = tf.reshape(self._mask, tf.concat([tf.shape(self._mask), ones], 0))
        return rows * tf.cast(mask, rows.dtype)

    def _way(self, num_heads: int) -> "_Way":
        if num_heads not in self._ways:
            batch, length = tf.unstack(tf.shape(self._index))
            head = tf.range(num_heads)
            part = tf.reshape(tf.range(3), [3, 1, 1, 1])  # query, key, value
            first = tf.reshape(self._index, [1, batch, 1, length]) * 3 + part
            num_scores = num_heads * tf.size(self._index, tf.int64) * tf.cast(length, tf.int64)
            self._ways[num_heads] = _Way(
                into=first * num_heads + head[:, None],
                back=(self._row[:, None] * num_heads + head) * length + self.positions[:, None],
                has_few_scores=num_scores <= FEW_SCORES,
            )
        return self._ways[num_heads]


class _Way(NamedTuple):
    """Which vectors of D numbers to take, on the way into rows and back.

    Attributes:
        into: int32 [3, B, N, L], out of tokens x 3 x heads.
        back: int32 [T, N], out of B x N x L.
        has_few_scores: bool scalar.
    """

    into: tf.Tensor
    back: tf.Tensor
    has_few_scores: tf.Tensor


def _context(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """What the heads see: [B, N, L, D] of queries, keys and values, [B, N, L, D] each."""
    scores = tf.matmul(queries, keys, transpose_b=True) * _scale(queries)
    weights = tf.nn.softmax(tf.cast(scores, tf.float32) + bias)
    return tf.matmul(tf.cast(weights, values.dtype), values)


def _context_of_few(
    queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, bias: tf.Tensor
) -> tf.Tensor:
    """The same by ops that oneDNN does not replace: for a short text waking its threads up costs
    more than the work, some 40 microseconds for each op."""
    dtype, batch_matmul = queries.dtype, tf.raw_ops.BatchMatMulV3
    scores = batch_matmul(x=queries, y=keys, Tout=dtype, adj_y=True) * _scale(queries)
    scores = tf.cast(scores, tf.float32) + bias
    weights = tf.exp(scores - tf.reduce_max(scores, axis=-1, keepdims=True))
    total = tf.cast(tf.reduce_sum(weights, axis=-1, keepdims=True), dtype)
    return batch_matmul(x=tf.cast(weights, dtype), y=values, Tout=dtype) / total


def _scale(queries: tf.Tensor) -> float:
    return 1.0 / math.sqrt(_known(queries.shape[-1]))


def _known(dimension: int | None) -> int:
    assert dimension is not None
    return dimension
