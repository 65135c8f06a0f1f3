"""Shards → seeded, resumable batches of static shape. See `order` for the order of examples."""

import itertools
import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError

from electra_tf import features
from electra_tf.data import original_records
from electra_tf.data.description import read_description
from electra_tf.data.mixture import MixtureReader
from electra_tf.data.order import SHARDS_AT_ONCE, read_shards
from electra_tf.data.split import Mixture, Split
from electra_tf.errors import UserError, one_line


def open_split(data_dir: str, name: str) -> Split:
    """Opens a split of a data set that `electra_tf build_dataset`, or the original, has written.

    The original's TFRecords carry no counts and no held-out part: their records are counted, and
    the last file that has any becomes `eval` if there are at least two of them.

    Args:
        data_dir: directory with dataset.json, or with the original's files (also in its sub-folder
            `pretrain_tfrecords`); any file system that TensorFlow reads.
        name: `train` or `eval`.

    Raises:
        UserError: if `data_dir` is not a data set, a file is missing or cut off, or the split is
            unknown or empty.
    """
    names = _list(data_dir)
    description = read_description(data_dir) if "dataset.json" in names else None
    if description:
        split = _open_shards(data_dir, description, name, names)
    else:
        split = _open_original(data_dir, name, names)
    if not split.num_examples:
        raise UserError(
            f"The {name!r} split of a data set must hold at least one example. "
            f"Received: none in {data_dir}"
        )
    return split


def open_mixture(weights: Mapping[str, int], name: str) -> Mixture:
    """Opens the same split of all data sets that are read together.

    Args:
        weights: of each by its directory, see `mixture`.
        name: as of `open_split`.

    Raises:
        UserError: as of `open_split`, or their examples cannot be in one batch.
    """
    mixture = Mixture(
        tuple(open_split(directory, name) for directory in weights), tuple(weights.values())
    )
    kinds = {
        "--seq_length": [part.seq_length for part in mixture.parts],
        "--packing": ["documents" if part.packed else "none" for part in mixture.parts],
    }
    for flag, values in kinds.items():
        other = next((place for place, each in enumerate(values) if each != values[0]), 0)
        if other:
            directories = list(weights)
            raise UserError(
                f"All data sets of config.data.mixture must be built with the same {flag}. "
                f"Received: {values[0]} in {directories[0]}, {values[other]} in "
                f"{directories[other]}; build one of them again"
            )
    return mixture


def require_ids_below(split: Split | Mixture, size: int, vocabulary: str) -> None:
    """Checks the original's records, which do not say of which vocabulary they are.

    Raises:
        UserError: a token id is not one of the vocabulary, whose size is `size`.
    """
    for part in split.parts:
        smallest, largest = part.ids or (0, 0)
        if smallest < 0 or largest >= size:
            raise UserError(
                f"Token ids must be from 0 to below the vocabulary's size, {size}; "
                f"config.data.vocab_file must name the vocabulary that the records were made with. "
                f"Received: {smallest if smallest < 0 else largest} in "
                f"{os.path.dirname(part.files[0])}, with {vocabulary}"
            )


def train_batches(
    split: Split | Mixture,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    shuffle_examples: int,
    offset: int = 0,
    rows: tuple[int, int] | None = None,
    rows_per_batch: int | None = None,
) -> tf.data.Dataset:
    """Training batches from step `start_step` on, without end.

    The global batch of step s is batch_size positions from offset + s * batch_size on of the
    infinite example order, however many workers and replicas share it: each asks for its rows.

    Args:
        split: what `open_split` or `open_mixture` returned.
        seed: of the order, not negative.
        batch_size: examples of a global batch; may exceed the number of examples.
        start_step: first step to yield.
        shuffle_examples: examples shuffled together; host memory holds at most two such groups.
        offset: where step 0 would begin; not 0 if other batches were of another size.
        rows: (first, end) of the rows of each global batch to yield; all by default.
        rows_per_batch: cuts the rows into consecutive elements of this size; whole by default.

    Returns:
        An infinite dataset of {feature: int32 [rows_per_batch, L]}.

    Raises:
        UserError: if the rows are not within the batch or not a multiple of `rows_per_batch`.
    """
    first, end = rows = rows or (0, batch_size)
    size = rows_per_batch or end - first
    if not 0 <= first < end <= batch_size:
        raise UserError(
            "rows must be (first, end) with 0 <= first < end <= batch_size. "
            f"Received: {rows} with batch_size {batch_size}"
        )
    if (end - first) % size:
        raise UserError(
            f"rows_per_batch must divide the number of rows. Received: {size} with rows {rows}"
        )

    def generate():
        with MixtureReader(split, seed, shuffle_examples) as reader:
            for begin in itertools.count(offset + start_step * batch_size, batch_size):
                yield reader.read(begin + first, begin + end)

    def parse(records):
        batch = _parse(records, split)
        shape = [(end - first) // size, size, split.seq_length]
        return {
            name: tf.reshape(value, shape)  # pyright: ignore[reportArgumentType] tf.cast keeps dense
            for name, value in batch.items()
        }

    records = tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec([end - first], tf.string)
    )
    batches = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.unbatch().prefetch(tf.data.AUTOTUNE)


def batch_at(
    split: Split | Mixture,
    *,
    seed: int,
    batch_size: int,
    step: int,
    shuffle_examples: int,
    offset: int = 0,
) -> dict[str, np.ndarray]:
    """The global batch of one step, {feature: int32 [batch_size, L]}, to look at after a failure.

    Args: as in `train_batches`.
    """
    with MixtureReader(split, seed, shuffle_examples, read_ahead=False) as reader:
        begin = offset + step * batch_size
        records = reader.read(begin, begin + batch_size)
    return {name: value.numpy() for name, value in _parse(tf.constant(records), split).items()}


def eval_batches(
    split: Split | Mixture,
    *,
    batch_size: int,
    num_batches: int = 0,
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """Every example once, in the order of the files; of a mixture one data set after the other.

    Every `num_workers`-th batch is this worker's. All workers see the same number of batches,
    because each takes part in every reduction; missing ones, and missing rows of the last, are
    zeros (`input_mask` too).

    Args:
        split: what `open_split` or `open_mixture` returned.
        batch_size: rows of each batch.
        num_batches: use only the first `num_batches * batch_size` examples, of each data set of a
            mixture as large a share; 0: all.
        worker: index of this worker.
        num_workers: how many workers share the split.

    Returns:
        A finite dataset of {feature: int32 [batch_size, L]}.
    """
    num_examples = split.num_examples
    if num_batches:
        num_examples = min(num_examples, num_batches * batch_size)
    num_batches = -(-num_examples // batch_size)
    per_worker = -(-num_batches // num_workers)

    def parse(records):
        batch = _parse(records, split)
        padding = [[0, batch_size - tf.shape(records)[0]], [0, 0]]
        return {
            name: tf.ensure_shape(
                tf.pad(value, padding),  # pyright: ignore[reportArgumentType] tf.cast keeps dense
                [batch_size, split.seq_length],
            )
            for name, value in batch.items()
        }

    def generate():
        sizes = np.cumsum([0, *(part.num_examples for part in split.parts)])
        shares = np.diff(num_examples * sizes // sizes[-1])
        for part, share in zip(split.parts, shares.tolist(), strict=True):
            yield from _first_examples(part, share)

    records = tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec([None], tf.string)
    )
    records = records.unbatch()
    records = records.apply(tf.data.experimental.assert_cardinality(num_examples))
    batches = records.batch(batch_size).shard(num_workers, worker)
    batches = batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    zeros = {
        name: tf.zeros([batch_size, split.seq_length], tf.int32)
        for name in features.data_features(split.packed)
    }
    batches = batches.concatenate(tf.data.Dataset.from_tensors(zeros).repeat())
    return batches.take(per_worker).prefetch(tf.data.AUTOTUNE)


def _first_examples(split: Split, number: int) -> Iterator[np.ndarray]:
    """Yields so many serialized examples, many at a time.

    A shard that lost some since they were counted is an error, not a smaller evaluation.
    """
    for place in range(0, len(split.files), SHARDS_AT_ONCE):
        shards = slice(place, place + SHARDS_AT_ONCE)
        for chunk in read_shards(split.files[shards], split.examples_per_file[shards]):
            yield chunk[:number]
            number -= len(chunk)
            if number <= 0:
                return


def _parse(records, split):
    """Serialized examples, string [B] → {feature: int32 [B, L]}."""
    spec = {
        name: tf.io.FixedLenFeature([split.seq_length], tf.int64)
        for name in features.data_features(split.packed)
    }
    parsed = tf.io.parse_example(records, spec)
    return {name: tf.cast(value, tf.int32) for name, value in parsed.items()}


def _list(directory):
    try:
        return set(tf.io.gfile.listdir(directory)) if directory else set()
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError):  # nothing, or a file
        return set()


def _open_shards(data_dir, description, name, present):
    splits = description["splits"]
    if name not in splits:
        raise UserError(
            f"The split must be one of {', '.join(sorted(splits))}. "
            f"Received: {name!r} in {data_dir}"
        )
    files = splits[name]["files"]  # a name may have a folder, as in TFX: Split-train/…
    for folder in {os.path.dirname(file["name"]) for file in files} - {""}:
        present |= {f"{folder}/{entry}" for entry in _list(os.path.join(data_dir, folder))}
    missing = [file["name"] for file in files if file["name"] not in present]
    if missing:
        raise UserError(
            f"Every file that dataset.json lists must be there. Received: {data_dir} "
            f"without {missing[0]} ({len(missing)} of {len(files)} are missing)"
        )
    paths = [os.path.join(data_dir, file["name"]) for file in files]
    first = next((path for path, file in zip(paths, files) if file["examples"]), None)
    length = _first_length(first) if first else 0
    if length not in (0, description["seq_length"]):
        raise UserError(
            f"The seq_length of dataset.json must be that of the examples, {length}. Received: "
            f"{description['seq_length']} in {data_dir}"
        )
    return Split(
        name=name,
        files=tuple(paths),
        examples_per_file=tuple(file["examples"] for file in files),
        seq_length=description["seq_length"],
        packed=description["packing"] == "documents",
    )


def _open_original(data_dir, name, present):
    if "pretrain_tfrecords" in {entry.rstrip("/") for entry in present}:  # gs:// appends a slash
        data_dir = os.path.join(data_dir, "pretrain_tfrecords")
        present = _list(data_dir)
    found = original_records.open_records(data_dir, present)
    if found is None:
        raise UserError(
            "A data set must hold dataset.json (`electra_tf build_dataset` writes it) or the "
            "original's pretrain_data.tfrecord-*-of-* files. Received: "
            f"{data_dir or 'no directory'}"
        )
    if name not in ("train", "eval"):
        raise UserError(f"The split must be one of eval, train. Received: {name!r} in {data_dir}")
    last = len(found.files) - 1  # is held out, if it is not the only one
    if last > 0:
        logging.info("%s has no eval split: %s is held out.", data_dir, found.files[last])
    part = slice(0, max(last, 1)) if name == "train" else slice(max(last, 1), None)
    return Split(
        name,
        found.files[part],
        found.counts[part],
        found.seq_length,
        packed=False,
        ids=found.ids,
    )


def _first_length(file):
    """Tokens of a shard's first example; 0 where there is none."""
    try:
        for record in tf.data.TFRecordDataset(file).take(1).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            return len(example.features.feature[features.INPUT_IDS].int64_list.value)
    except (tf.errors.DataLossError, DecodeError) as error:
        raise UserError(
            f"A shard must be a TFRecord file of examples. Received: {file}: {one_line(error)}"
        ) from error
    return 0
