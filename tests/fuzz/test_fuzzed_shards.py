"""Data sets for pre-training: damaged shards, and a dataset.json that says what is not so."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from damage import damaged, damaged_json, few, read
from hypothesis import given
from hypothesis import strategies as st

from electra_tf.config import Config
from electra_tf.data import dataset
from electra_tf.data.records import ShardWriter
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.text.vocabulary import SPECIAL_TOKENS

LENGTH, EXAMPLES = 8, 5
NAME = "train-00000-of-00001.tfrecord"
TOKENS = [*SPECIAL_TOKENS, "the", "network", "word"]


@pytest.fixture(scope="module")
def shards(folder):
    """A data set of one shard."""
    writer = ShardWriter(folder / NAME)
    random = np.random.default_rng(0)
    features = {
        "input_ids": random.integers(0, len(TOKENS), (EXAMPLES, LENGTH)),
        "input_mask": np.ones((EXAMPLES, LENGTH), np.int64),
        "segment_ids": np.zeros((EXAMPLES, LENGTH), np.int64),
    }
    writer.write(features)
    writer.close()
    split = {
        "documents": EXAMPLES,
        "examples": EXAMPLES,
        "tokens": writer.num_tokens,
        "files": [{"name": NAME, "examples": EXAMPLES}],
    }
    description = {
        "format_version": 1,
        "seq_length": LENGTH,
        "packing": "none",
        "splits": {"train": split, "eval": split},
        "vocab_size": len(TOKENS),
        "tokenizer": {"name": "wordpiece", "lower_case": True, "strip_accents": True},
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENS))
    return folder


@functools.lru_cache(maxsize=100)
def evaluation(split: dataset.Split):
    """Batches of its files as they are when somebody iterates; to build them takes long."""
    return dataset.eval_batches(split, batch_size=8, num_batches=1)


def first_batch(directory: str):
    """What training and evaluation read first."""
    split = dataset.open_split(directory, "train")
    read_batch = dataset.batch_at(split, seed=0, batch_size=4, step=0, shuffle_examples=100)
    evaluated = next(iter(evaluation(split)))
    return read_batch, {name: value.numpy() for name, value in evaluated.items()}


def check_batches(directory: str) -> None:
    batches = read(first_batch, directory)
    for batch in batches or ():
        for name, value in batch.items():
            assert value.dtype == np.int32, name
            assert value.ndim == 2, name


@few
@given(data=st.data())
def test_shard(shards, data):
    valid = (shards / NAME).read_bytes()
    (shards / NAME).write_bytes(data.draw(damaged(valid)))
    try:
        check_batches(str(shards))
    finally:
        (shards / NAME).write_bytes(valid)


@few
@given(data=st.data())
def test_original_shard(shards, folder, data):
    """Files of the original carry no counts: they are counted by their headers."""
    valid = (shards / NAME).read_bytes()
    directory = folder / "original"
    directory.mkdir(exist_ok=True)
    path = directory / "pretrain_data.tfrecord-0-of-1"
    path.write_bytes(data.draw(damaged(valid)))
    check_batches(str(directory))


@few
@given(data=st.data())
def test_description(shards, data):
    valid = (shards / "dataset.json").read_bytes()
    (shards / "dataset.json").write_bytes(data.draw(damaged_json(json.loads(valid))))
    config = Config()
    config.data.dir = str(shards)
    try:
        check_batches(str(shards))
        read(PretrainingTask, config)
    finally:
        (shards / "dataset.json").write_bytes(valid)


@few
@given(content=damaged("".join(f"{token}\n" for token in TOKENS).encode()))
def test_vocabulary_of_a_data_set(shards, content):
    valid = (shards / "vocab.txt").read_bytes()
    (shards / "vocab.txt").write_bytes(content)
    config = Config()
    config.data.dir = str(shards)
    try:
        task = read(PretrainingTask, config)
        assert task is None or task.config.model.vocab_size == len(task.vocabulary)
    finally:
        (shards / "vocab.txt").write_bytes(valid)


def test_the_whole_data_set_is_read(shards):
    trained, evaluated = first_batch(str(shards))
    assert trained["input_ids"].shape == (4, LENGTH)
    assert int(tf.reduce_sum(evaluated["input_mask"])) == EXAMPLES * LENGTH
