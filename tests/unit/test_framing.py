"""[CLS] a [SEP] b [SEP], against a loop that drops one token at a time as the original does."""

import numpy as np
import pytest
import tensorflow as tf

from electra_tf import Tokenizer
from electra_tf.text.framing import frame

RANDOM = np.random.default_rng(0)
LENGTHS = [0, 1, 2, 3, 5, 8, 13, 21]
PAIRS = [(first, second) for first in LENGTHS for second in LENGTHS]


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


def reference(first, second, max_seq_length, vocabulary):
    first, second = list(first), None if second is None else list(second)
    while len(first) + len(second or []) > max_seq_length - (2 if second is None else 3):
        (first if second is None or len(first) > len(second) else second).pop()
    ids = [vocabulary.cls_id, *first, vocabulary.sep_id]
    segments = [0] * len(ids)
    if second is not None:
        ids += [*second, vocabulary.sep_id]
        segments += [1] * (len(second) + 1)
    return ids, segments


@pytest.mark.parametrize("max_seq_length", [3, 4, 7, 8, 16, 100])
@pytest.mark.parametrize("pairs", [False, True])
def test_rows(tokenizer, pairs, max_seq_length):
    first = [RANDOM.integers(5, 50, length).tolist() for length, _ in PAIRS]
    second = [RANDOM.integers(5, 50, length).tolist() for _, length in PAIRS] if pairs else None
    framed = frame(
        tf.ragged.constant(first, tf.int32),
        tf.ragged.constant(second, tf.int32) if pairs else None,
        tokenizer.vocabulary,
        max_seq_length,
    )
    width = framed["input_ids"].shape[1]
    assert width <= max_seq_length
    for row, ids in enumerate(first):
        expected, segments = reference(
            ids, second[row] if pairs else None, max_seq_length, tokenizer.vocabulary
        )
        padding = [0] * (width - len(expected))
        assert framed["input_ids"][row].numpy().tolist() == expected + padding
        assert framed["segment_ids"][row].numpy().tolist() == segments + padding
        assert framed["input_mask"][row].numpy().tolist() == [1] * len(expected) + padding


def test_batch_of_texts_and_tensors(tokenizer):
    texts, pairs = ["the model", ""], ["trained words", "a"]
    batch = tokenizer.batch(texts, pairs)
    ids = tokenizer.tokenize(["the model", "trained words", "a"])
    assert batch["input_ids"][0].numpy().tolist() == [2, *ids[0], 3, *ids[1], 3]
    assert batch["input_ids"][1].numpy().tolist()[:4] == [2, 3, *ids[2], 3]
    again = tf.function(tokenizer.batch)(tf.constant(texts), tf.constant(pairs))
    for name, value in batch.items():
        np.testing.assert_array_equal(value, again[name])
        assert value.dtype == tf.int32


def test_no_rows_and_no_room(tokenizer):
    empty = tokenizer.batch([])
    assert {name: tuple(value.shape) for name, value in empty.items()} == {
        "input_ids": (0, 0),
        "input_mask": (0, 0),
        "segment_ids": (0, 0),
    }
    with pytest.raises(ValueError, match="max_seq_length must be at least 3. Received: 2"):
        tokenizer.batch(["a"], ["b"], max_seq_length=2)
