"""Token ids with [CLS] and [SEP] around them, cut to length and padded: what a model reads."""

from typing import NamedTuple

import tensorflow as tf

from electra_tf import features
from electra_tf.errors import UserError
from electra_tf.text.vocabulary import Vocabulary

_PAD, _CLS, _SEP = range(3)
_NUM_SPECIAL = 3


class Frame(NamedTuple):
    """Rows of one or two parts, B of them, with the special tokens in their places.

    Attributes:
        index: int32 [B, L], what stands there: 0 padding, 1 [CLS], 2 [SEP], then the tokens of the
            first parts of all rows, in order, then those of the second parts.
        mask: int32 [B, L], 1 but for padding.
        segments: int32 [B, L], 1 in the second part and the [SEP] after it.
    """

    index: tf.Tensor
    mask: tf.Tensor
    segments: tf.Tensor

    def fill(self, values: tf.Tensor, special: list[int]) -> tf.Tensor:
        """Puts values [N] of the tokens in their places, [B, L].

        Args:
            values: of all tokens, in the order of `index`.
            special: what stands for padding, [CLS] and [SEP].
        """
        return tf.gather(tf.concat([tf.constant(special, values.dtype), values], 0), self.index)


def frame(
    first: tf.RaggedTensor,
    second: tf.RaggedTensor | None,
    vocabulary: Vocabulary,
    max_seq_length: int,
) -> dict[str, tf.Tensor]:
    """Makes `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]` of each row, in graph.

    What is too long is cut at its end; of a pair always the longer part, the second one if both
    are equally long, as in the original.

    Args:
        first, second: int32 [B, None] token ids.
        vocabulary: gives the ids of the special tokens.
        max_seq_length: tokens of the longest row, special tokens included.

    Returns:
        `input_ids`, `input_mask`, `segment_ids`, int32 [B, L] with L of the longest row.
    """
    parts = [first] if second is None else [first, second]
    return batch_of(place(parts, max_seq_length), parts, vocabulary)


def batch_of(
    rows: Frame, parts: list[tf.RaggedTensor], vocabulary: Vocabulary
) -> dict[str, tf.Tensor]:
    """What `frame` gives, of parts that `place` has found the places of."""
    special = [vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id]
    tokens = tf.concat([part.values for part in parts], 0)
    return {
        features.INPUT_IDS: rows.fill(tokens, special),
        features.INPUT_MASK: rows.mask,
        features.SEGMENT_IDS: rows.segments,
    }


def place(parts: list[tf.RaggedTensor], max_seq_length: int) -> Frame:
    """Finds the place of every token; see `frame`, which cuts by this.

    Args:
        parts: one or two, [B, None] each.
        max_seq_length: of the longest row.
    """
    num_special = 1 + len(parts)
    if max_seq_length < num_special:
        raise UserError(
            f"max_seq_length must be at least {num_special}. Received: {max_seq_length}"
        )
    lengths = _cut(
        [tf.cast(part.row_lengths(), tf.int32) for part in parts], max_seq_length - num_special
    )
    width = tf.reduce_max(tf.concat([tf.add_n(lengths) + num_special, [0]], 0))
    column = tf.range(width)[None]
    index, tokens_before, begin = tf.where(column == 0, _CLS, _PAD), _NUM_SPECIAL, 1
    for part, length in zip(parts, lengths):
        token = column - begin  # of this part; negative in what is before it
        length, row_start = (
            tf.cast(values, tf.int32)[:, None] for values in (length, part.row_starts())
        )
        is_token = (token >= 0) & (token < length)
        index = tf.where(
            is_token, tokens_before + row_start + token, tf.where(token == length, _SEP, index)
        )
        begin += length + 1
        tokens_before += tf.size(part.values)
    mask = tf.cast(column < begin, tf.int32)
    second_begin = lengths[0][:, None] + 2
    return Frame(index, mask, mask * tf.cast(column >= second_begin, tf.int32))


def _cut(lengths: list[tf.Tensor], room: int) -> list[tf.Tensor]:
    """How many tokens of each part stay, int32 [B] each."""
    if len(lengths) == 1:
        return [tf.minimum(lengths[0], room)]
    first, second = lengths
    first = tf.minimum(first, tf.maximum(room - second, tf.minimum(first, (room + 1) // 2)))
    return [first, tf.minimum(second, room - first)]
