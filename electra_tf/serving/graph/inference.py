"""The encoder as a server runs it: the Keras model's weights, no dropout, no work on padding.

A batch of mixed lengths is mostly padding. Here all but the attention runs on the tokens alone,
[T, width] of them. What follows is also written for TensorFlow's graph optimizer, which makes one
op of matrix product, bias and GELU, and one of product, scale and mask; it does so with the same
numbers where it can, and leaves plain ops where it cannot. Only core TensorFlow ops are used.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from electra_tf import features
from electra_tf.models.encoder import Embeddings, Encoder
from electra_tf.models.layers import MASKED_SCORE, Attention, Dense, FeedForward, LayerNorm

# Of all heads of a batch. On two cores fewer are quicker without oneDNN; ELECTRA-Small has as many
# for one text of 45 tokens.
FEW_SCORES = 8192


class Tokens(NamedTuple):
    """Where the T tokens of a batch stand in its B rows, counted row by row.

    Attributes:
        places: int32 [T, 2], row and position of each token.
        index: int32 [B, L], number of the token there; in padding that of any token.
        mask: int32 [B, L], 1 for a token.
    """

    places: tf.Tensor
    index: tf.Tensor
    mask: tf.Tensor

    def padded(self, values: tf.Tensor) -> tf.Tensor:
        """Values [T, ...] of tokens as rows [B, L, ...], 0 in padding."""
        rows = tf.gather(values, self.index)
        mask = tf.reshape(self.mask, tf.concat(
            [tf.shape(self.mask), tf.ones([rows.shape.rank - 2], tf.int32)], 0))
        return rows * tf.cast(mask, rows.dtype)


def find_tokens(input_mask: tf.Tensor) -> Tokens:
    """The tokens of an `input_mask`, int32 [B, L]; they may stand anywhere in their rows."""
    is_token = input_mask > 0
    # A batch of nothing but padding is computed in full: there must be a token to point at.
    computed = is_token | ~tf.reduce_any(is_token)
    count = tf.cumsum(tf.cast(tf.reshape(computed, [-1]), tf.int32))
    return Tokens(places=tf.cast(tf.where(computed), tf.int32),
                  index=tf.reshape(tf.maximum(count - 1, 0), tf.shape(input_mask)),
                  mask=tf.cast(is_token, tf.int32))


def hidden_states(encoder: Encoder, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """What `encoder(batch)` gives, except in padding.

    Args:
        encoder: any, in float32 or mixed precision.
        batch: `input_ids`, `input_mask`, `segment_ids`, int32 [B, L].

    Returns:
        [B, L, H] in the compute dtype, 0 in padding.
    """
    tokens = find_tokens(batch[features.INPUT_MASK])
    return tokens.padded(token_states(encoder, batch, tokens))


def token_states(encoder: Encoder, batch: dict[str, tf.Tensor], tokens: Tokens) -> tf.Tensor:
    """As `hidden_states`, for the tokens alone: [T, H]."""
    hidden = tf.cast(_embed(encoder.embeddings, batch, tokens), encoder.compute_dtype)
    if encoder.embeddings_project is not None:
        hidden = _dense(encoder.embeddings_project, hidden)
    rows = _Rows(tokens, encoder.config.num_heads)
    for layer in encoder.layers:
        hidden = _attend(layer.attention, hidden, rows)
        hidden = _feed_forward(layer.feed_forward, hidden)
    return hidden


class _Rows:
    """Brings queries, keys and values of tokens into rows for the attention, and the result back.

    Each way is one gather of vectors, which splits or joins the heads, adds or drops the padding
    and transposes.
    """

    def __init__(self, tokens: Tokens, num_heads: int):
        batch, length = tf.unstack(tf.shape(tokens.index))
        row, position = tf.unstack(tokens.places, axis=1)
        head = tf.range(num_heads)
        part = tf.reshape(tf.range(3), [3, 1, 1, 1])  # query, key, value
        self._into = ((tf.reshape(tokens.index, [1, batch, 1, length]) * 3 + part) * num_heads
                      + head[:, None])  # [3, B, N, L], in tokens x 3 x heads
        self._back = (row[:, None] * num_heads + head) * length + position[:, None]  # [T, N]
        self._num_heads = num_heads
        self.score_bias = (1.0 - tf.cast(tokens.mask, tf.float32))[:, None, None] * MASKED_SCORE
        num_scores = num_heads * tf.size(tokens.index, tf.int64) * tf.cast(length, tf.int64)
        self.are_few = num_scores <= FEW_SCORES

    def split(self, qkv: tf.Tensor) -> list[tf.Tensor]:
        """Of tokens [T, 3H]: queries, keys and values, each [B, N, L, D]."""
        size = qkv.shape[1] // (3 * self._num_heads)
        return tf.unstack(tf.gather(tf.reshape(qkv, [-1, size]), self._into), 3)

    def join(self, context: tf.Tensor) -> tf.Tensor:
        """[B, N, L, D] to [T, H]."""
        size = context.shape[-1]
        vectors = tf.gather(tf.reshape(context, [-1, size]), self._back)
        return tf.reshape(vectors, [-1, self._num_heads * size])


def _embed(embeddings: Embeddings, batch: dict[str, tf.Tensor], tokens: Tokens) -> tf.Tensor:
    ids, segments = (tf.gather_nd(batch[name], tokens.places)
                     for name in (features.INPUT_IDS, features.SEGMENT_IDS))
    return _normalize(embeddings.layer_norm, (
        tf.gather(embeddings.tokens.value, ids)
        + tf.gather(embeddings.positions.value, tokens.places[:, 1])
        + tf.gather(embeddings.segments.value, segments)))


def _attend(layer: Attention, hidden: tf.Tensor, rows: _Rows) -> tf.Tensor:
    qkv = rows.split(_dense(layer.qkv, hidden))
    context = tf.cond(rows.are_few, lambda: _context_of_few(*qkv, rows.score_bias),
                      lambda: _context(*qkv, rows.score_bias))
    return _normalize(layer.layer_norm, hidden + _dense(layer.output_dense, rows.join(context)))


def _context(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """What the heads see: [B, N, L, D] of queries, keys and values, [B, N, L, D] each."""
    scores = tf.matmul(queries, keys, transpose_b=True) * _scale(queries)
    weights = tf.nn.softmax(tf.cast(scores, tf.float32) + bias)
    return tf.matmul(tf.cast(weights, values.dtype), values)


def _context_of_few(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, bias: tf.Tensor
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
    return 1.0 / math.sqrt(queries.shape[-1])


def _feed_forward(layer: FeedForward, hidden: tf.Tensor) -> tf.Tensor:
    inner = _gelu(_dense(layer.intermediate, hidden))
    return _normalize(layer.layer_norm, hidden + _dense(layer.output_dense, inner))


def _dense(layer: Dense, inputs: tf.Tensor) -> tf.Tensor:
    kernel, bias = (tf.cast(weight.value, inputs.dtype) for weight in (layer.kernel, layer.bias))
    return tf.nn.bias_add(tf.matmul(inputs, kernel), bias)


def _gelu(inputs: tf.Tensor) -> tf.Tensor:
    # In this order of operations, by erf: the pattern that the graph optimizer knows.
    return inputs * ((tf.math.erf(inputs * math.sqrt(0.5)) + 1.0) * 0.5)


def _normalize(layer: LayerNorm, inputs: tf.Tensor) -> tf.Tensor:
    rows = tf.cast(inputs, tf.float32)
    centered = rows - tf.reduce_mean(rows, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
    scale = tf.math.rsqrt(variance + layer.epsilon) * layer.gamma.value
    return tf.cast(centered * scale + layer.beta.value, inputs.dtype)
