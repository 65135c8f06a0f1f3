"""The shard format: TFRecord files of tf.train.Example with int64 lists of fixed length.

Each example holds `input_ids`, `input_mask` and `segment_ids`, and `document_ids` in a packed data
set. This is the original's layout, so its readers can read these shards. Examples are serialized
straight from arrays: the protobuf API would take most of the time of a build.
"""

import hashlib
import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from electra_tf.errors import UserError

# Tag bytes of the wire format: (field number << 3) | 2, where 2 means "length, then bytes".
_FIELD_1 = b"\x0a"  # Example.features, Features.feature, map key, Int64List.value
_FIELD_2 = b"\x12"  # map value
_FIELD_3 = b"\x1a"  # Feature.int64_list


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; all bytes but the last have the high bit set."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(tag: bytes, payload: bytes) -> bytes:
    return tag + _varint(len(payload)) + payload


def _packed_rows(array: np.ndarray) -> list[bytes]:
    """Each row of a non-negative int [N, L] array as packed varints."""
    if array.min(initial=0) < 0 or array.max(initial=0) >= 1 << 28:
        raise UserError(
            f"Features must be from 0 to 2**28 - 1. Received: {array.min()} to {array.max()}"
        )
    values = array.astype(np.uint32)
    # [N, L, 4]: the four groups of seven bits of each value; the first `sizes` of them count.
    groups = values[..., None] >> np.array([0, 7, 14, 21], np.uint32)
    sizes = np.maximum((groups != 0).sum(-1), 1)
    is_written = np.arange(4) < sizes[..., None]
    is_continued = np.arange(4) < sizes[..., None] - 1
    stream = ((groups & 0x7F) | np.where(is_continued, 0x80, 0)).astype(np.uint8)[is_written]
    ends = sizes.sum(1).cumsum()
    data = stream.tobytes()
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def serialize_examples(features: Mapping[str, np.ndarray]) -> list[bytes]:
    """Serialized tf.train.Example protos.

    Args:
      features: name to int [N, L], values from 0 to 2**28 - 1.

    Returns:
      N byte strings, which `tf.train.Example.FromString` and `tf.io.parse_example` can read.
    """
    columns = []
    for name in sorted(features):
        key = _field(_FIELD_1, name.encode())
        entries = []
        for row in _packed_rows(features[name]):
            value = _field(_FIELD_3, _field(_FIELD_1, row))
            entries.append(_field(_FIELD_1, key + _field(_FIELD_2, value)))
        columns.append(entries)
    return [_field(_FIELD_1, b"".join(row)) for row in zip(*columns, strict=True)]


class ShardWriter:
    """Writes one shard and keeps count.

    Attributes:
      num_examples: examples written.
      num_tokens: tokens that are not padding.
    """

    def __init__(self, path: str | os.PathLike):
        self._writer = tf.io.TFRecordWriter(os.fspath(path))
        self._digest = hashlib.blake2b(digest_size=16)
        self.num_examples = 0
        self.num_tokens = 0

    def write(self, features: Mapping[str, np.ndarray]) -> None:
        """Appends N examples given as int [N, L] arrays."""
        for record in serialize_examples(features):
            self._writer.write(record)
            self._digest.update(record)
        self.num_examples += len(features["input_mask"])
        self.num_tokens += int(features["input_mask"].sum())

    def close(self) -> str:
        """Closes the file and returns a digest of its examples."""
        self._writer.close()
        return self._digest.hexdigest()
