"""Tagging: every word exactly once, whatever it holds; a perfect head scores 1; the loss."""

import json
import shutil

import numpy as np
import pytest
from keras import ops

from electra_tf import Tokenizer
from electra_tf.config import Config
from electra_tf.models.randomness import Dropout
from electra_tf.tasks.tagging.rows import windows
from electra_tf.tasks.tagging.task import TaggingTask
from tests.conftest import REFERENCE, SHARED, where_shared

TRAIN = "The DT B-NP\nmodel NN I-NP\ntrains VB O\n\nWords NN B-NP\nof IN O\ntext NN B-NP\n"
ODD_WORDS = [
    "\u200b",
    "the",
    "\U0001f600\U0001f468\u200d\U0001f469",
    "\u0301",
    "w" * 300,
    "don't,not",
    "\ufffd",
    "a\u00a0b",
    "x" * 40,
    "\ue000",
]


@pytest.fixture
def task_of(tmp_path):
    def make(files, **options):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return TaggingTask("chunk", str(tmp_path), **options)

    return make


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


def as_json(*sentences):
    return "".join(json.dumps(sentence) + "\n" for sentence in sentences)


def perfect(encoded):
    """Outputs of a head that is right at every word, and anything elsewhere."""
    labels = encoded.features["labels"]
    return {"best": np.where(labels >= 0, labels, 0).astype(np.int32)}


def tiny_model_config():
    config = Config()
    config.model.hidden_size = 8
    config.model.hidden_dropout = 0.5
    return config.model


@pytest.mark.parametrize(
    "source, splits, lengths",
    [
        (REFERENCE / "wnut17", ("train", "dev", "eval_test"), (128, 16, 3)),
        (REFERENCE / "chunks.txt", ("train", "eval_test"), (128, 16)),
        *where_shared((SHARED / "data/conll/conll2000", ("train", "eval_test"), (128,))),
    ],
)
def test_a_perfect_head_scores_one_on_real_files(
    uncased_vocab_file, tmp_path, source, splits, lengths
):
    tokenizer, directory = Tokenizer(uncased_vocab_file), str(source)
    if source.is_file():
        directory = str(tmp_path)
        for name in ("train.txt", "test.txt"):
            shutil.copy(source, tmp_path / name)
    for length in lengths:
        task = TaggingTask("task", directory, max_seq_length=length)
        assert (task.splits, task.scheme, task.main_metric) == (splits, "BIO", "f1")
        examples = task.read("eval_test")
        encoded = task.encode(examples, tokenizer, training=True)
        predictions = task.predict(examples, encoded, perfect(encoded))
        assert predictions == examples.tags
        assert task.score(examples, predictions) == {
            "f1": 1,
            "precision": 1,
            "recall": 1,
            "accuracy": 1,
        }
        assert encoded.features["input_ids"].shape[1] <= length


@pytest.mark.parametrize("length", [3, 8, 21, 64])
def test_every_word_is_predicted_once(task_of, tokenizer, length):
    numbers = np.random.default_rng(length)
    words = [
        list(numbers.choice(["the", "tokens", *ODD_WORDS], size))
        for size in [1, 0, 2, 300, *numbers.integers(1, 60, 20)]
    ]
    words += [[word] for word in ODD_WORDS] + [ODD_WORDS]
    tags = [[f"T{number}" for number in numbers.integers(0, 50, len(each))] for each in words]
    task = task_of(
        {"train.jsonl": as_json(*({"words": each, "tags": its} for each, its in zip(words, tags)))},
        max_seq_length=length,
    )
    examples = task.read("train")
    encoded = task.encode(examples, tokenizer, training=True)
    # The right tag comes back for every word, so each was asked for at a place of its own.
    assert task.predict(examples, encoded, perfect(encoded)) == [tuple(each) for each in tags]
    assert encoded.starts.sum() == sum(map(len, words))
    assert sorted(encoded.rows) == encoded.rows.tolist()
    assert set(encoded.rows) == {number for number, each in enumerate(words) if each}
    for_scores = task.encode(examples, tokenizer, training=False)
    assert set(for_scores.rows) == set(range(len(words)))
    assert "labels" not in for_scores.features


def test_rows(task_of, tokenizer):
    """Ids, masks and first pieces against the tokenizer's ids of each word on its own."""
    task = task_of({"train.txt": TRAIN})
    vocabulary = tokenizer.vocabulary
    words = ["The", "zzz", "\u200b", "don't"]
    examples = task.read("train")
    examples.words, examples.tags = [tuple(words), ("of",)], [("B-NP", "I-NP", "O", "B-NP"), ("O",)]
    encoded = task.encode(examples, tokenizer, training=True)
    pieces = [tokenizer.tokenize([word])[0] or [vocabulary.unk_id] for word in words]
    assert [len(each) for each in pieces] == [1, 3, 1, 5]
    row = [vocabulary.cls_id, *sum(pieces, []), vocabulary.sep_id]
    assert encoded.features["input_ids"].tolist() == [
        row + [vocabulary.pad_id] * 4,
        [vocabulary.cls_id, *tokenizer.tokenize(["of"])[0], vocabulary.sep_id]
        + [vocabulary.pad_id] * 13,
    ]
    assert encoded.features["input_mask"].sum(axis=1).tolist() == [12, 3]
    assert not encoded.features["segment_ids"].any()
    assert np.nonzero(encoded.starts[0])[0].tolist() == [1, 2, 5, 6]
    labels = encoded.features["labels"]
    names = [task.classes[label] for label in labels[labels >= 0]]
    assert names == ["B-NP", "E-NP", "O", "S-NP", "O"]
    assert ((labels >= 0) == encoded.starts).all()
    assert all(array.dtype == np.int32 for array in encoded.features.values())


@pytest.mark.parametrize("length", [16, 30, 64])
def test_the_rows_of_a_long_sentence_are_the_sentence(task_of, tokenizer, length):
    numbers = np.random.default_rng(length)
    words = [
        numbers.choice(["the", "model", "zzz", "don't"], size).tolist() for size in (3, 200, 90)
    ]
    task = task_of(
        {"train.jsonl": as_json(*({"words": each, "tags": ["O"] * len(each)} for each in words))},
        max_seq_length=length,
    )
    encoded = task.encode(task.read("train"), tokenizer, training=False)
    ids = encoded.features["input_ids"]
    inner = (
        encoded.features["input_mask"].astype(bool)
        & (ids != tokenizer.vocabulary.cls_id)
        & (ids != tokenizer.vocabulary.sep_id)
    )
    for number, each in enumerate(words):
        rows, pieces = encoded.rows == number, tokenizer.tokenize(each)
        assert ids[rows][inner[rows]].tolist() == sum(pieces, [])
        first = np.cumsum([0, *map(len, pieces[:-1])])
        assert np.nonzero(encoded.starts[rows][inner[rows]])[0].tolist() == first.tolist()
        sizes = inner[rows].sum(axis=1)
        assert sizes.max() <= length - 2
        even = sizes.sum() / np.ceil(sizes.sum() / (length - 2))
        assert sizes[:-1].min(initial=length) >= min(even, length - 2 - 4)  # a word has up to 5


@pytest.mark.parametrize(
    "lengths, room, sizes",
    [
        ([], 5, [0]),
        ([1] * 5, 5, [5]),
        ([1] * 6, 5, [3, 3]),
        ([1] * 130, 126, [65, 65]),
        ([5, 5, 5], 5, [1, 1, 1]),
        ([1, 5, 1, 5], 5, [1, 1, 1, 1]),
        ([3, 3, 1, 1], 6, [2, 2]),
    ],
)
def test_windows(lengths, room, sizes):
    cut = windows(lengths, room)
    assert [len(lengths[window]) for window in cut] == sizes
    assert sum((lengths[window] for window in cut), []) == lengths


def test_splits(task_of):
    task = task_of({"train.txt": TRAIN, "valid.txt": TRAIN, "test.txt": "The DT\nmodel NN\n"})
    assert task.splits == ("train", "dev", "test")
    assert task.read("test").tags is None
    assert task.read("test").words == [("The", "model")]
    with pytest.raises(ValueError, match="one of train, dev, test. Received: 'eval_test'"):
        task.read("eval_test")


def test_a_test_file_with_tags_is_scored(task_of):
    assert task_of({"train.txt": TRAIN, "testb.txt": TRAIN}).splits == ("train", "eval_test")
    json_lines = as_json({"text": "no tags"})
    assert task_of({"mine.jsonl": json_lines}, test_file="mine.jsonl").splits == ("train", "test")


def test_plain_tags_are_scored_by_accuracy(task_of):
    task = task_of({"train.txt": TRAIN}, tag_column=1)
    assert (task.scheme, task.main_metric) == ("plain", "accuracy")
    assert task.classes == ("DT", "IN", "NN", "VB")
    examples = task.read("train")
    predictions = [("DT", "NN", "NN"), ("NN", "NN", "NN")]
    assert task.score(examples, predictions) == {"accuracy": pytest.approx(4 / 6)}


def test_span_scores(task_of):
    task = task_of({"train.txt": TRAIN})
    scores = task.score(task.read("train"), [("B-NP", "I-NP", "O"), ("B-NP", "I-NP", "O")])
    assert list(scores) == ["f1", "precision", "recall", "accuracy"]
    assert list(scores.values()) == pytest.approx([2 / 5, 1 / 2, 1 / 3, 4 / 6])


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES", "BIO"])
def test_predictions_keep_to_the_scheme_of_the_files(task_of, tokenizer, scheme):
    tags = {"BIO": "B-A I-A B-A O B-B", "IOB1": "I-A I-A B-A O I-B", "BIOES": "B-A E-A S-A O S-B"}[
        scheme
    ].split()
    task = task_of({"train.jsonl": as_json({"words": list("abcde"), "tags": tags})})
    assert task.scheme == scheme
    assert task.classes == ("O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B")
    examples = task.read("train")
    encoded = task.encode(examples, tokenizer, training=True)
    # I-A E-A B-A O I-B: spans that begin with I, and one that does not end.
    best = encoded.features["labels"].copy()
    best[encoded.starts] = [2, 3, 1, 0, 6]
    assert task.predict(examples, encoded, {"best": best}) == [tuple(tags)]


def test_other_files_may_have_other_tags_of_the_same_types(task_of):
    task = task_of({"train.txt": TRAIN, "dev.txt": "a DT I-NP\n"})
    assert task.read("dev").tags == [("I-NP",)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a DT O\nb NN B-VP\n", r"Received: 'B-VP' in .*dev\.txt, line 2"),
        ("a DT O\n\nb NN S-NP\n", r"scheme, which is BIO\. Received: 'S-NP' in .*dev\.txt, line 3"),
        ("a DT NN\n", r"Received: 'NN' in .*dev\.txt, line 1"),
    ],
)
def test_unknown_tags(task_of, text, message):
    task = task_of({"train.txt": TRAIN, "dev.txt": text})
    with pytest.raises(ValueError, match=message):
        task.read("dev")


@pytest.mark.parametrize(
    "files, options, message",
    [
        ({}, {}, "chunk must have a training file"),
        ({"dev.txt": TRAIN}, {}, "chunk must have a training file"),
        ({"train.txt": TRAIN}, {"scheme": "BILOU"}, "scheme must be one of auto, plain, BIO"),
        ({"train.txt": TRAIN}, {"max_seq_length": 2}, "must be at least 3. Received: 2"),
        ({"train.txt": TRAIN}, {"eval_file": "mine.txt"}, "must be one of mine.txt"),
        ({"train.txt": "a B-X\nb U-X\n"}, {}, "'U-X' in .*train.txt, line 2"),
        ({"train.txt": "a B-X\nb NN\n"}, {"scheme": "BIO"}, "'NN' in .*train.txt, line 2"),
        ({}, {"tags": ["B-X", "E-X"], "scheme": "BIO"}, "'E-X' in `tags`"),
    ],
)
def test_what_is_wrong_with_a_task_is_said(task_of, files, options, message):
    with pytest.raises(ValueError, match=message):
        task_of(files, **options)


def test_a_task_without_training_data_predicts(task_of, tokenizer, tmp_path):
    full = task_of({"train.txt": TRAIN})
    (tmp_path / "train.txt").unlink()
    bare = task_of({}, tags=full.tags, scheme=full.scheme)
    assert (bare.classes, bare.splits) == (full.classes, ())
    path = tmp_path / "mine.jsonl"
    path.write_text(as_json({"text": "the model"}, {"words": []}, {"words": ["a b"], "tags": 1}))
    examples = bare.read_file(str(path))
    encoded = bare.encode(examples, tokenizer, training=False)
    best = np.full_like(encoded.features["input_ids"], bare.classes.index("S-NP"))
    predictions = bare.predict(examples, encoded, {"best": best})
    assert predictions == [("B-NP", "B-NP"), (), ("B-NP",)]
    bare.write("mine", examples, predictions, str(tmp_path / "out"))
    lines = (tmp_path / "out" / "chunk-mine.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "words": ["the", "model"],
        "tags": ["B-NP", "B-NP"],
        "spans": [{"type": "NP", "start": 0, "end": 1}, {"type": "NP", "start": 1, "end": 2}],
    }
    assert [json.loads(line)["tags"] for line in lines[1:]] == [[], ["B-NP"]]


def test_column_files_are_written_as_words_and_predictions(task_of, tmp_path):
    task = task_of({"train.txt": TRAIN})
    task.write("train", task.read("train"), [("O", "O", "O"), ("O", "B-NP", "I-NP")], str(tmp_path))
    assert (tmp_path / "chunk-train.txt").read_text() == (
        "The\tO\nmodel\tO\ntrains\tO\n\nWords\tO\nof\tB-NP\ntext\tI-NP\n\n"
    )


def test_losses_and_outputs(task_of):
    """Against the same in NumPy, row by row and word by word."""
    task = task_of({"train.txt": TRAIN})
    head = task.new_head(tiny_model_config(), "float32")
    kernel = next(weight for weight in head.trainable_weights if "kernel" in weight.path)
    assert (head.name, kernel.path, kernel.shape) == ("task", "task/logit/kernel", (8, 5))
    numbers = np.random.default_rng(0)
    kernel.assign(numbers.normal(size=(8, 5)))
    hidden = numbers.normal(size=(3, 4, 8)).astype(np.float32)
    labels = np.array([[-1, 2, -1, 0], [-1, 4, 3, 1], [-1, -1, -1, -1]], np.int32)
    logits = hidden @ np.array(kernel)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    outputs = task.outputs(head, hidden, {})
    np.testing.assert_array_equal(outputs["best"], logits.argmax(-1))
    np.testing.assert_allclose(outputs["probability"], probabilities.max(-1), rtol=1e-5)

    batch = {"labels": labels}
    loss, weight = (
        np.array(values)
        for values in (task.losses(head, hidden, batch, None), task.row_weights(batch))
    )
    of_words = [
        [
            -np.log(probabilities[row, place, label])
            for place, label in enumerate(labels[row])
            if label >= 0
        ]
        for row in range(3)
    ]
    np.testing.assert_array_equal(weight, [2, 3, 0])
    np.testing.assert_allclose(loss, [np.mean(of_words[0]), np.mean(of_words[1]), 0], rtol=1e-5)
    np.testing.assert_allclose(
        (loss * weight).sum() / weight.sum(), np.mean(of_words[0] + of_words[1]), rtol=1e-5
    )
    dropped = task.losses(head, hidden, batch, Dropout(0, 1))
    assert not np.allclose(ops.convert_to_numpy(dropped)[:2], loss[:2])
