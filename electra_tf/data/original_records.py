"""The TFRecord files of google-research/electra, which say nothing of themselves."""

import concurrent.futures
import functools
import os
import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from electra_tf import features
from electra_tf.errors import UserError

_NAME = re.compile(r"pretrain_data\.tfrecord-(\d+)-of-(\d+)")
_READ_BYTES = 8 << 20
_BATCH = 1024


class Records(NamedTuple):
    """What the files of a data set hold.

    Attributes:
        files: paths of those that are not empty, by number.
        counts: records of each.
        seq_length: tokens of each record; 0 without any.
        ids: smallest and largest token id of all records.
    """

    files: tuple[str, ...]
    counts: tuple[int, ...]
    seq_length: int
    ids: tuple[int, int]


def open_records(directory: str, names: Iterable[str]) -> Records | None:
    """Reads all records of a data set; once in a process, as long as its files stay as they are.

    Args:
        directory: of the files.
        names: of all that is there.

    Returns:
        None if no name is that of such a file.

    Raises:
        UserError: a file is missing or cut off, or a record is no example with as many token ids
            as the first.
    """
    matches = [match for match in map(_NAME.fullmatch, names) if match]
    if not matches:
        return None
    matches.sort(key=lambda match: int(match[1]))
    if len(matches) != int(matches[0][2]):
        raise UserError(
            "Every pretrain_data.tfrecord-*-of-N must be there. Received: "
            f"{len(matches)} of N={matches[0][2]} files in {directory}"
        )
    paths = [os.path.join(directory, match[0]) for match in matches]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        versions = dict(zip(paths, threads.map(_version, paths)))
        # Some builds leave empty files.
        versions = {path: version for path, version in versions.items() if version[0]}
        counts = tuple(threads.map(_count, versions, versions.values()))
    files = tuple(versions)
    return Records(files, counts, *_length_and_ids(files, tuple(versions.values())))


def count(path: str) -> int:
    """Counts a TFRecord file's records by their headers (uint64 length, 12 bytes of checksums).

    Reads in large blocks: records are smaller than a page, so seeking would save nothing. A file is
    read once in a process as long as it stays as it is.

    Raises:
        UserError: the file is cut off.
    """
    return _count(path, _version(path))


def _version(path: str) -> tuple[int, int]:
    found = tf.io.gfile.stat(path)
    return found.length, found.mtime_nsec


@functools.cache
def _count(path: str, version: tuple[int, int]) -> int:
    size, _ = version
    number = position = start = 0
    block = b""
    with tf.io.gfile.GFile(path, "rb") as file:
        while position < size:
            if position + 8 > start + len(block):
                file.seek(position)
                start, block = position, file.read(_READ_BYTES)
            if len(block) < 8:
                break
            position += 16 + struct.unpack_from("<Q", block, position - start)[0]
            number += 1
    if position != size:
        raise UserError(
            f"A shard must be a complete TFRecord file. Received: {path}, which is "
            f"cut off after {number - (position > size)} records"
        )
    return number


@functools.lru_cache
def _length_and_ids(paths: tuple[str, ...], _versions) -> tuple[int, tuple[int, int]]:
    """Tokens per example, and the smallest and largest token id of all records."""
    length = 0
    for record in tf.data.TFRecordDataset(list(paths)).take(1).as_numpy_iterator() if paths else ():
        try:
            example = tf.train.Example.FromString(record)
        except DecodeError:
            raise UserError(
                f"A record must be a tf.Example. Received: another in {paths[0]}"
            ) from None
        length = len(example.features.feature[features.INPUT_IDS].int64_list.value)
    if not length:
        return 0, (0, 0)

    def bounds(records):
        spec = {features.INPUT_IDS: tf.io.FixedLenFeature([length], tf.int64)}
        ids = tf.io.parse_example(records, spec)[features.INPUT_IDS]
        return tf.reduce_min(ids), tf.reduce_max(ids)  # pyright: ignore[reportArgumentType] dense

    records = tf.data.TFRecordDataset(
        list(paths), buffer_size=_READ_BYTES, num_parallel_reads=tf.data.AUTOTUNE
    )
    found = records.batch(_BATCH).map(bounds, num_parallel_calls=tf.data.AUTOTUNE)
    int64 = tf.int64
    try:
        smallest, largest = found.reduce(
            (tf.constant(int64.max, int64), tf.constant(int64.min, int64)),
            lambda old, new: (tf.minimum(old[0], new[0]), tf.maximum(old[1], new[1])),
        )
    except tf.errors.InvalidArgumentError as error:
        raise UserError(
            f"Every record must be a tf.Example with {length} {features.INPUT_IDS}, as the first "
            f"one of {paths[0]}. Received: {error.message}"
        ) from None
    return length, (int(smallest), int(largest))
