"""Shards that a disk or a copy has damaged: training and evaluation end in one line."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from electra_tf import errors
from electra_tf.data import dataset
from electra_tf.errors import UserError
from electra_tf.train.host_loop import HostLoop


@pytest.fixture
def shards(data, tmp_path):
    """A copy of the tiny data set."""
    return shutil.copytree(data, tmp_path / "shards")


def flip(path, share: float = 0.01) -> None:
    """Changes a bit in so many of a file's bytes, behind its first record."""
    content = np.fromfile(path, np.uint8)
    places = np.arange(300, len(content))
    places = np.random.default_rng(0).choice(places, round(share * len(content)), replace=False)
    content[places] ^= 4
    content.tofile(path)


def train(split, steps: int) -> float:
    """Tokens of so many steps, counted in a loop as training's."""
    batches = dataset.train_batches(
        split, seed=0, batch_size=12, start_step=0, shuffle_examples=1000
    )
    return count(batches, steps)


def evaluate(split) -> float:
    batches = dataset.eval_batches(split, batch_size=10)
    return count(batches, int(batches.cardinality()))


def refused(function, *arguments) -> str:
    """What a command tells of the error of a function, in its one line."""
    with pytest.raises((UserError, tf.errors.OpError)) as caught:
        function(*arguments)
    assert errors.is_for_user(caught.value), caught.value
    return errors.one_line(caught.value)


def count(batches, steps: int) -> float:
    loop = HostLoop(lambda batch: ({"n": tf.reduce_sum(batch["input_mask"])}, {}))
    return float(loop(iter(batches), steps)[0]["n"])


def test_flipped_bytes_are_named_in_training_and_evaluation(shards):
    train_split, eval_split = (dataset.open_split(str(shards), name) for name in ("train", "eval"))
    description = json.loads((shards / "dataset.json").read_text())
    assert train(train_split, 20) == description["splits"]["train"]["tokens"]
    assert evaluate(eval_split) == description["splits"]["eval"]["tokens"]
    for split, read in ((train_split, lambda split: train(split, 20)), (eval_split, evaluate)):
        (path,) = split.files
        flip(path)
        message = refused(read, split)
        assert message.startswith(f"A shard must be a complete TFRecord file. Received: {path}")
        assert "corrupted record at " in message


def end_of_record(content: bytes, number: int) -> int:
    """Bytes of the first `number` records: length (8), its checksum (4), data, checksum (4)."""
    end = 0
    for _ in range(number):
        end += 16 + int.from_bytes(content[end : end + 8], "little")
    return end


@pytest.mark.parametrize("more, message", [
    (5, "A shard must "),  # be complete, or hold 37: both are true
    (0, "A shard must hold as many examples as dataset.json says, 37. Received: 30 in "),
])  # fmt: skip
def test_a_shard_that_is_cut_off(shards, more, message):
    """Within a record, and between two."""
    split = dataset.open_split(str(shards), "eval")
    (path,) = map(pathlib.Path, split.files)
    content = path.read_bytes()
    path.write_bytes(content[: end_of_record(content, 30) + more])
    told = refused(evaluate, split)
    assert told.startswith(message) and str(path) in told
