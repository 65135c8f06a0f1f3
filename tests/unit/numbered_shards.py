"""Data sets whose examples are numbered, and the order in which they are read."""

import itertools
import json

import numpy as np
import tensorflow as tf

LENGTH = 4


def write_records(path, ids, packed=False):
    """One record per id; the id is the first token."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in ids:
            rows = {
                "input_ids": [i, 7, 7, 0],
                "input_mask": [1, 1, 1, 0],
                "segment_ids": [0, 0, 1, 0],
            }
            if packed:
                rows["document_ids"] = [1, 1, 2, 0]
            writer.write(
                tf.train.Example(
                    features=tf.train.Features(
                        feature={
                            name: tf.train.Feature(int64_list=tf.train.Int64List(value=row))
                            for name, row in rows.items()
                        }
                    )
                ).SerializeToString()
            )


def write_data(directory, sizes, split="train", packing="none", first=1, **changes):
    """A data set whose examples are numbered from `first` on in the order of the files."""
    numbers = itertools.count(first)
    files = []
    for index, size in enumerate(sizes):
        name = f"{split}-{index:05d}-of-{len(sizes):05d}.tfrecord"
        write_records(directory / name, itertools.islice(numbers, size), packing == "documents")
        files.append({"name": name, "examples": size})
    description = {
        "format_version": 1,
        "seq_length": LENGTH,
        "packing": packing,
        "splits": {split: {"examples": sum(sizes), "files": files}},
        **changes,
    }
    (directory / "dataset.json").write_text(json.dumps(description))
    return str(directory)


def numbers_of(batches, count=None):
    """Example numbers of `count` batches (all if None), as one list."""
    batches = batches if count is None else batches.take(count)
    return [int(i) for batch in batches for i in batch["input_ids"][:, 0]]


def naive_order(sizes, seed, limit, epochs):
    """Second implementation: example by example, everything in memory."""
    first_of = np.cumsum([1, *sizes])
    order = []
    for epoch in range(epochs):

        def rng(stream, epoch=epoch):
            return np.random.Generator(
                np.random.PCG64(np.random.SeedSequence([seed, epoch, stream]))
            )

        if sum(sizes) <= limit:
            groups = [list(range(1, sum(sizes) + 1))]
        else:
            groups = [[]]
            for file in rng(0).permutation(len(sizes)):
                numbers = list(range(first_of[file], first_of[file + 1]))
                for piece in (numbers[i : i + limit] for i in range(0, len(numbers), limit)):
                    if len(groups[-1]) + len(piece) > limit:
                        groups.append([])
                    groups[-1] += piece
        for index, group in enumerate(groups):
            order += [group[i] for i in rng(index + 1).permutation(len(group))]
    return order
