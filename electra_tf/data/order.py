"""The order of training examples, and reading in that order.

The order is a function of (seed, epoch) alone, in two levels, so that files are read sequentially
and memory is bounded: an epoch permutes the files, cuts their concatenation into groups of at most
`shuffle_examples`, and permutes the examples of each group. A resumed run computes its group, skips
to it and loads it; nothing about the order is ever saved. A data set of one group is fully
shuffled, and read once.

Both classes take any object with the attributes of `dataset.Split`.
"""

import bisect
import concurrent.futures
import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from electra_tf.errors import UserError, one_line

_READ_BYTES = 8 << 20
_READ_RECORDS = 2048  # per call into TensorFlow
# Of one pipeline: to make one takes far longer than to open a file in it.
SHARDS_AT_ONCE = 256


class Order:
    """The infinite order of examples: epochs of groups of positions in permuted files."""

    def __init__(self, split, seed, shuffle_examples):
        if shuffle_examples < 1:
            raise UserError(
                f"config.data.shuffle_examples must be at least 1. Received: {shuffle_examples}"
            )
        self._split, self._seed, self._limit = split, seed, shuffle_examples
        self.plan = functools.lru_cache(maxsize=2)(self._plan)

    def _plan(self, epoch):
        """Returns (indices of the epoch's files in order, end positions of its groups)."""
        sizes = self._split.examples_per_file
        if self._split.num_examples <= self._limit:
            return list(range(len(sizes))), [self._split.num_examples]
        files = self._generator(epoch, 0).permutation(len(sizes)).tolist()
        groups = [0]
        for file in files:
            left = sizes[file]
            while left:
                piece = min(left, self._limit)
                if groups[-1] + piece > self._limit:
                    groups.append(0)
                groups[-1] += piece
                left -= piece
        return files, list(itertools.accumulate(groups))

    def locate(self, position):
        """Returns (epoch, group, offset in the group's permutation) of an example."""
        epoch, offset = divmod(position, self._split.num_examples)
        ends = self.plan(epoch)[1]
        group = bisect.bisect_right(ends, offset)
        return epoch, group, offset - (ends[group - 1] if group else 0)

    def bounds(self, epoch, group):
        """Returns (first, end) of a group in the concatenation of the epoch's files."""
        ends = self.plan(epoch)[1]
        return (ends[group - 1] if group else 0), ends[group]

    def permutation(self, epoch, group):
        first, end = self.bounds(epoch, group)
        return self._generator(epoch, group + 1).permutation(end - first)

    def following(self, epoch, group):
        return (epoch, group + 1) if group + 1 < len(self.plan(epoch)[1]) else (epoch + 1, 0)

    def _generator(self, epoch, stream):
        """Stream 0 is for the files (SeedSequence pads with zeros: group 0 must not share it)."""
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self._seed, epoch, stream]))
        )


class Reader:
    """Serialized examples by position in the order; the next group loads in the background."""

    def __init__(self, split, order, read_ahead=True):
        self._split, self._order, self._read_ahead = split, order, read_ahead
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "electra_tf_reader")
        self._key: tuple[int, int] | None = None
        self._records: np.ndarray | None = None
        self._permutation = np.empty(0, np.int64)
        self._ahead: tuple[tuple[int, int], concurrent.futures.Future] | None = None
        self._stream: Iterator = iter(())  # used by the thread only, as the next one
        self._stream_at: tuple[int, int] | None = None
        self._closed = False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def read(self, first, end):
        """Returns the examples at positions [first, end) as a bytes array [end - first]."""
        parts = []
        while first < end:
            epoch, group, offset = self._order.locate(first)
            records = self._enter(epoch, group)
            chosen = self._permutation[offset : offset + end - first]
            parts.append(records[chosen])
            first += len(chosen)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _enter(self, epoch, group) -> np.ndarray:
        """Makes a group the present one; returns its examples."""
        records = self._records
        if records is not None and self._key == (epoch, group):
            return records
        is_only_group = len(self._order.plan(epoch)[1]) == 1
        if records is None or not is_only_group:
            if self._ahead is not None and self._ahead[0] == (epoch, group):
                future = self._ahead[1]
            else:
                future = self._thread.submit(self._load, epoch, group)
            self._records = records = None  # freed before the third group's reading starts
            self._records = records = future.result()
            if self._read_ahead and not is_only_group:
                key = self._order.following(epoch, group)
                self._ahead = key, self._thread.submit(self._load, *key)
        self._permutation = self._order.permutation(epoch, group)
        self._key = (epoch, group)
        return records

    def _load(self, epoch, group):
        """Reads a group; goes on in the open files if it follows the group read last."""
        first, end = self._order.bounds(epoch, group)
        if self._stream_at != (epoch, first):
            self._stream = itertools.chain.from_iterable(self._chunks(epoch, first))
        count = end - first  # fromiter raises if the stream is shorter
        records = np.fromiter(itertools.islice(self._stream, count), object, count)
        self._stream_at = (epoch, end)
        return records

    def _chunks(self, epoch, first) -> Iterator[np.ndarray]:
        """Yields the epoch's examples from position `first` on, many at a time."""
        order, sizes = self._order.plan(epoch)[0], self._split.examples_per_file
        place = 0
        while first >= sizes[order[place]]:
            first -= sizes[order[place]]
            place += 1
        while place < len(order):
            indices = order[place : place + SHARDS_AT_ONCE]
            paths, expected = [self._split.files[i] for i in indices], [sizes[i] for i in indices]
            for chunk in read_shards(paths, expected, first):
                if self._closed:  # the process wants to end
                    return
                yield chunk
            first, place = 0, place + SHARDS_AT_ONCE


def read_shards(
    paths: Sequence[str], expected: Sequence[int], first: int = 0
) -> Iterator[np.ndarray]:
    """Yields the serialized examples of shards, one after the other, bytes arrays of many.

    A shard is opened when the ones before it have been read.

    Args:
        paths: of the TFRecord files, SHARDS_AT_ONCE or so: all stand in one pipeline.
        expected: how many examples each holds in all.
        first: how many to skip, all in the first shard.

    Raises:
        UserError: one is cut off or damaged, or holds another number.
    """
    skipped = np.zeros(len(paths), np.int64)
    skipped[:1] = first
    files = tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), list(paths), skipped))
    chunks = files.flat_map(lambda *file: _shard(*file)).with_options(_one_by_one())
    place, counts = 0, skipped.copy()
    try:
        for index, chunk in chunks.as_numpy_iterator():
            if index > place:
                _require_count(paths[place], expected[place], counts[place])
                place = index
            counts[place] += len(chunk)
            if counts[place] > expected[place]:
                break
            if len(chunk):
                yield chunk
    except tf.errors.DataLossError as error:
        raise UserError(
            f"A shard must be a complete TFRecord file. Received: {paths[place]}: {one_line(error)}"
        ) from error
    _require_count(paths[place], expected[place], counts[place])


def _shard(index, path, skipped):
    """The chunks of a shard with its index; an empty one tells that it is the shard's turn."""
    beginning = tf.data.Dataset.from_tensors(tf.zeros([0], tf.string))
    records = tf.data.TFRecordDataset(path, buffer_size=_READ_BYTES)
    chunks = beginning.concatenate(records.skip(skipped).batch(_READ_RECORDS))
    return chunks.map(lambda chunk: (index, chunk))


def _one_by_one():
    options = tf.data.Options()
    options.autotune.enabled = False  # which would read ahead
    return options


def _require_count(path, expected, count):
    if count != expected:  # also what TensorFlow makes of a file cut off in a header
        found = "more" if count > expected else count
        raise UserError(
            f"A shard must hold as many examples as dataset.json says, {expected}. "
            f"Received: {found} in {path}"
        )
