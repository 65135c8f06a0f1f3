"""Token ids with [CLS] and [SEP] around them, cut to length and padded: what a model reads."""

import tensorflow as tf

from electra_tf import features
from electra_tf.text.vocabulary import Vocabulary


def frame(first: tf.RaggedTensor, second: tf.RaggedTensor | None, vocabulary: Vocabulary,
          max_seq_length: int) -> dict[str, tf.Tensor]:
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
    special = 2 if second is None else 3
    if max_seq_length < special:
        raise ValueError(f"max_seq_length must be at least {special}. Received: {max_seq_length}")
    room = max_seq_length - special
    if second is None:
        parts = [_closed(_cut(first, room), vocabulary.sep_id)]
    else:
        lengths, others = first.row_lengths(), second.row_lengths()
        keep = tf.maximum(room - others, tf.minimum(lengths, (room + 1) // 2))
        keep = tf.minimum(lengths, keep)
        parts = [_closed(_cut(first, keep), vocabulary.sep_id),
                 _closed(_cut(second, room - keep), vocabulary.sep_id)]
    start = tf.fill([first.nrows(), 1], tf.constant(vocabulary.cls_id, tf.int32))
    ids = tf.concat([start, *parts], axis=1)
    segments = tf.concat([tf.zeros_like(start)] + [
        part.with_flat_values(tf.fill(tf.shape(part.flat_values), number))
        for number, part in enumerate(parts)], axis=1)
    return {features.INPUT_IDS: ids.to_tensor(vocabulary.pad_id),
            features.INPUT_MASK: tf.ones_like(ids).to_tensor(0),
            features.SEGMENT_IDS: segments.to_tensor(0)}


def _cut(ids, keep):
    """The first `keep` tokens (int, or int64 [B]) of each row."""
    keep = tf.broadcast_to(tf.cast(keep, tf.int64), [ids.nrows()])
    position = tf.ragged.range(ids.row_lengths())
    return tf.ragged.boolean_mask(ids, position < tf.expand_dims(keep, 1))


def _closed(ids, sep_id):
    return tf.concat([ids, tf.fill([ids.nrows(), 1], tf.constant(sep_id, tf.int32))], axis=1)
