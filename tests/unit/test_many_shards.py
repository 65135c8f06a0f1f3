"""A data set of very many shards: what opening and resuming read of them.

All shards but those that are needed are links that lead nowhere. They are there by name, and
whoever opens one or asks for its size fails.
"""

import json
import os
import tracemalloc

import pytest
import tensorflow as tf
from numbered_shards import LENGTH, naive_order, numbers_of, write_data, write_records

from electra_tf.data import dataset, order

EACH = 3  # examples of a shard


def write_index(directory, number, real):
    """A data set of so many shards, of which these and the first are there."""
    files = []
    for index in range(number):
        name = f"train-{index:05d}-of-{number:05d}.tfrecord"
        if index in (0, *real):
            first = EACH * index + 1
            write_records(directory / name, range(first, first + EACH))
        else:
            os.symlink("nowhere", directory / name)
        files.append({"name": name, "examples": EACH})
    description = {
        "format_version": 1,
        "seq_length": LENGTH,
        "packing": "none",
        "splits": {"train": {"files": files}},
    }
    (directory / "dataset.json").write_text(json.dumps(description))
    return str(directory)


class Sizes(tuple):
    """Counts how often all of them are looked at."""

    passes = 0

    def __iter__(self):
        Sizes.passes += 1
        return super().__iter__()


@pytest.mark.parametrize("number", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_only_the_shards_of_the_batch_are_opened(tmp_path, number):
    """Opening, and resuming late in the fourth epoch."""
    seed, batch, total = 5, 4, EACH * number
    limit, step = 2 * EACH, (3 * total + total // 2) // batch
    expected = naive_order((EACH,) * number, seed, limit, 4)
    # The group with the first example, and the one that is read ahead.
    around = expected[step * batch - limit : (step + 3) * batch + 2 * limit]
    real = {(example - 1) // EACH for example in around}
    data = write_index(tmp_path, number, real)

    tracemalloc.start()
    split = dataset.open_split(data, "train")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000 + 1_000 * number  # bytes; 540 for a shard when this was written
    assert split.num_examples == total

    batches = dataset.train_batches(
        split, seed=seed, batch_size=batch, start_step=step, shuffle_examples=limit
    )
    assert numbers_of(batches, 3) == expected[step * batch : (step + 3) * batch]


def test_a_batch_does_not_look_at_all_shards(tmp_path):
    data = write_data(tmp_path, (EACH,) * 40)
    opened = dataset.open_split(data, "train")
    split = dataset.Split("train", opened.files, Sizes(opened.examples_per_file), LENGTH, False)
    with order.Reader(split, order.Order(split, 0, 30)) as reader:
        reader.read(0, 5)
        passes = Sizes.passes
        for first in range(5, 30):
            reader.read(first, first + 1)
    assert Sizes.passes <= passes <= 3


def test_one_pipeline_reads_many_shards(tmp_path, monkeypatch):
    """To make a pipeline takes as long as to read thousands of examples."""
    pipelines = []
    make = tf.data.Dataset.from_tensor_slices
    monkeypatch.setattr(
        tf.data.Dataset,
        "from_tensor_slices",
        lambda *given: pipelines.append(given) or make(*given),
    )
    split = dataset.open_split(write_data(tmp_path, (EACH,) * 40), "train")
    for at_once, expected in ((256, 1), (40, 1), (16, 3)):
        pipelines.clear()
        monkeypatch.setattr(order, "SHARDS_AT_ONCE", at_once)
        read = dataset.batch_at(split, seed=0, batch_size=120, step=0, shuffle_examples=999)
        assert sorted(read["input_ids"][:, 0].tolist()) == list(range(1, 121))
        assert len(pipelines) == expected


@pytest.mark.parametrize("place", [0, 7, 16, 39])
@pytest.mark.parametrize("damage, message", [
    (lambda path: write_records(path, [1, 2]), "dataset.json says, 3. Received: 2 in "),
    (lambda path: write_records(path, [1, 2, 3, 4]), "dataset.json says, 3. Received: more in "),
    (lambda path: write_records(path, []), "dataset.json says, 3. Received: 0 in "),
    (lambda path: os.truncate(path, os.path.getsize(path) - 1), "be a complete TFRecord file. .*"),
])  # fmt: skip
def test_the_damaged_one_of_many_is_named(tmp_path, monkeypatch, place, damage, message):
    monkeypatch.setattr(order, "SHARDS_AT_ONCE", 16)
    split = dataset.open_split(write_data(tmp_path, (EACH,) * 40), "train")
    damage(split.files[place])
    with pytest.raises(ValueError, match=f"{message}{split.files[place]}"):
        dataset.batch_at(split, seed=0, batch_size=120, step=0, shuffle_examples=999)


def test_the_originals_files_are_asked_once_for_their_size(tmp_path, monkeypatch):
    for index in range(6):
        write_records(tmp_path / f"pretrain_data.tfrecord-{index}-of-6", [index + 1])
    asked, stat = [], tf.io.gfile.stat
    monkeypatch.setattr(tf.io.gfile, "stat", lambda path: asked.append(path) or stat(path))
    assert dataset.open_split(str(tmp_path), "train").num_examples == 5
    assert len(asked) == len(set(asked)) == 6
