"""Sentence tasks on the user's own files: from texts to rows, losses, predictions and figures."""

import json

import numpy as np
import pytest
from scipy import special

from electra_tf import Tokenizer
from electra_tf.config import ModelConfig, TaskConfig
from electra_tf.models.classification_head import ClassificationHead
from electra_tf.models.initialization import initialize
from electra_tf.models.randomness import Dropout
from electra_tf.tasks.base import Encoded
from electra_tf.tasks.registry import KINDS, kind_of
from electra_tf.tasks.sentence import task as sentences
from electra_tf.tasks.sentence.classification import Classification
from electra_tf.tasks.sentence.examples import Sentences
from electra_tf.tasks.sentence.regression import Regression

HIDDEN = 12


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


def model_config(dropout=0.0):
    return ModelConfig(hidden_size=HIDDEN, hidden_dropout=dropout)


def save(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def load(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def new_task(directory, kind="classification", labels=(), value_range=None, **settings):
    output = KINDS[kind].output_class(labels) if labels else None
    if value_range:
        output = Regression(*value_range)
    return KINDS[kind]("mine", str(directory), output=output, **settings)


def filled_head(task, seed=1):
    """The task's head with the weights that a run would give it."""
    head = task.new_head(model_config(), None)
    return initialize(head, 0.02, seed)


def numpy_logits(head, hidden):
    kernel, bias = (np.array(variable) for variable in (head.logit.kernel, head.logit.bias))
    return hidden[:, 0].astype(np.float64) @ kernel + bias


def run(task, tokenizer, split, seed=2):
    """Encodes a split, and predicts it from random hidden states."""
    examples, head = task.read(split), filled_head(task)
    encoded = task.encode(examples, tokenizer, training=False)
    hidden = np.random.default_rng(seed).normal(size=(len(examples), 4, HIDDEN)).astype("float32")
    outputs = {
        name: np.array(value)
        for name, value in task.outputs(head, hidden, encoded.features).items()
    }
    logits = numpy_logits(head, hidden)
    return examples, task.predict(examples, encoded, outputs), logits


def test_rows_are_the_tokenizers(tmp_path, tokenizer, random, monkeypatch, caplog):
    monkeypatch.setattr(sentences, "ROWS_PER_CALL", 3)
    words = "the model trained small networks with large data and".split()
    texts = [" ".join(random.choice(words, random.integers(1, 14))) for _ in range(20)]
    pairs = [" ".join(random.choice(words, random.integers(1, 14))) for _ in range(20)]
    for second in (None, pairs):
        task = new_task(tmp_path, pair_field="other" if second else "", max_seq_length=13)
        caplog.clear()
        encoded = task.encode(Sentences(list(range(20)), texts, second), tokenizer, False)
        expected = tokenizer.batch(texts, second, max_seq_length=13)
        whole = tokenizer.batch(texts, second, max_seq_length=500)["input_mask"].numpy().sum(1)
        assert (whole > 13).any() and (whole < 13).any()
        assert (
            f"mine: {(whole > 13).sum()} of 20 examples are longer than max_seq_length=13 "
            "tokens and are cut" in caplog.text
        )
        assert set(encoded.features) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(encoded.features[name], values)
            assert encoded.features[name].dtype == np.int32
        np.testing.assert_array_equal(encoded.rows, np.arange(20))


@pytest.mark.parametrize(("words", "width"), [(1, 8), (6, 8), (7, 16), (14, 16), (17, 20)])
def test_rows_are_no_longer_than_needed(tmp_path, tokenizer, caplog, words, width):
    task = new_task(tmp_path, max_seq_length=20)
    encoded = task.encode(Sentences([0, 1], ["the", "the " * words]), tokenizer, False)
    assert encoded.features["input_ids"].shape == (2, width)
    assert encoded.features["input_mask"].sum(1).tolist() == [3, words + 2]
    assert encoded.features["input_ids"][0, 3:].tolist() == [0] * (width - 3)
    assert not caplog.text


def test_unordered_pairs_are_doubled_in_training_only(tokenizer):
    class Unordered(sentences.SentenceTask):
        output, splits = Classification(("0", "1")), ("train",)
        read = write = from_config = files_of_data_set = known_labels = usual_files = None

    task = Unordered(
        "both",
        metrics=("accuracy",),
        text_fields=("a", "b"),
        max_seq_length=16,
        swap_in_training=True,
    )
    examples = Sentences(
        [0, 1, 2],
        ["the model", "a", "data"],
        ["words", "networks", "on"],
        np.array([1, 0, 1], np.int32),
    )
    encoded = task.encode(examples, tokenizer, True)
    forward = tokenizer.batch(examples.texts, examples.pairs)["input_ids"].numpy()
    backward = tokenizer.batch(examples.pairs, examples.texts)["input_ids"].numpy()
    width = forward.shape[1]
    np.testing.assert_array_equal(encoded.features["input_ids"][::2, :width], forward)
    np.testing.assert_array_equal(encoded.features["input_ids"][1::2, :width], backward)
    assert encoded.rows.tolist() == [0, 0, 1, 1, 2, 2]
    assert encoded.features["labels"].tolist() == [[1], [1], [0], [0], [1], [1]]
    assert task.encode(examples, tokenizer, False).rows.tolist() == [0, 1, 2]


def test_classification_from_file_to_file(tmp_path, tokenizer):
    (tmp_path / "train.tsv").write_text('text\tlabel\nthe model\tspam\na word\tham\n"the\tegg\n')
    rows = [
        {"key": f"k{i}", "text": "some words", "other": "the model", "label": label}
        for i, label in enumerate(["ham", "spam", "egg", "spam", "ham"])
    ]
    save(tmp_path / "mydev.jsonl", rows)
    task = new_task(tmp_path, eval_file="mydev.jsonl", id_field="")
    assert task.splits == ("train", "dev") and task.main_metric == "accuracy"
    assert task.labels == ("egg", "ham", "spam")
    train = task.read("train")
    assert train.texts == ["the model", "a word", '"the'] and train.pairs is None
    assert train.ids == [0, 1, 2] and train.labels.tolist() == [2, 1, 0]

    task = new_task(
        tmp_path,
        eval_file="mydev.jsonl",
        id_field="key",
        pair_field="other",
        train_file="train.tsv",
        labels=("spam", "egg", "ham"),
    )
    examples, predictions, logits = run(task, tokenizer, "dev")
    assert examples.labels.tolist() == [2, 0, 1, 0, 2]
    assert examples.pairs == ["the model"] * 5
    np.testing.assert_allclose(predictions.probabilities, special.softmax(logits, -1), atol=1e-6)
    assert predictions.probabilities.dtype == np.float32
    np.testing.assert_array_equal(predictions.labels, logits.argmax(-1))
    scores = task.score(examples, predictions)
    assert list(scores) == ["accuracy", "macro_f1"]
    assert scores["accuracy"] == np.mean(logits.argmax(-1) == [2, 0, 1, 0, 2])
    assert 0 < scores["accuracy"] < 1
    task.write("dev", examples, predictions, str(tmp_path / "out"))
    written = load(tmp_path / "out" / "mine-dev.jsonl")
    assert [row["id"] for row in written] == [f"k{i}" for i in range(5)]
    for row, label, probabilities in zip(written, predictions.labels, predictions.probabilities):
        assert row["label"] == ("spam", "egg", "ham")[label]
        assert list(row["probabilities"]) == ["spam", "egg", "ham"]
        np.testing.assert_allclose(list(row["probabilities"].values()), probabilities, atol=1e-6)


@pytest.mark.parametrize("extension", [".jsonl", ".csv"])
def test_multi_label_from_file_to_file(tmp_path, tokenizer, extension):
    labels = [["b", "a"], [], ["c"], ["a", "b", "c"], ["b"], ["a"]]
    if extension == ".jsonl":
        save(tmp_path / "train.jsonl", [{"text": "the", "label": some} for some in labels])
    else:
        (tmp_path / "train.csv").write_text(
            "label,text\n" + "".join("|".join(some) + ",the\n" for some in labels)
        )
    task = new_task(tmp_path, "multi_label")
    assert task.labels == ("a", "b", "c") and task.splits == ("train",)
    examples, predictions, logits = run(task, tokenizer, "train")
    gold = np.array([[name in some for name in "abc"] for some in labels], int)
    np.testing.assert_array_equal(examples.labels, gold)
    np.testing.assert_allclose(predictions.probabilities, special.expit(logits), atol=1e-6)
    np.testing.assert_array_equal(predictions.labels, logits > 0)
    scores = task.score(examples, predictions)
    assert list(scores) == ["micro_f1", "macro_f1", "exact_match"]
    right = np.sum((logits > 0) & (gold > 0))
    assert scores["micro_f1"] == pytest.approx(2 * right / (np.sum(logits > 0) + gold.sum()))
    assert scores["exact_match"] == np.mean(((logits > 0) == gold).all(1))
    task.write("train", examples, predictions, str(tmp_path))
    written = load(tmp_path / "mine-train.jsonl")
    assert [row["labels"] for row in written] == [
        [name for name, value in zip("abc", row) if value > 0] for row in logits
    ]


def test_regression_from_file_to_file(tmp_path, tokenizer):
    values = [10.0, 30, 25, 12.5]
    save(tmp_path / "train.jsonl", [{"text": "the", "label": value} for value in values])
    save(tmp_path / "dev.jsonl", [{"text": "the", "label": value} for value in [50, 8, 11.0]])
    save(tmp_path / "test.jsonl", [{"text": "the"}, {"text": "a"}])
    task = new_task(tmp_path, "regression")
    assert task.splits == ("train", "dev", "test") and (task.output.low, task.output.high) == (
        10.0,
        30.0,
    )
    train = task.encode(task.read("train"), tokenizer, True).features
    assert train["targets"].tolist() == [[0.0], [1.0], [0.75], [0.125]]
    assert train["targets"].dtype == np.float32
    examples, predictions, logits = run(task, tokenizer, "dev")
    np.testing.assert_allclose(predictions.labels, logits[:, 0] * 20 + 10, rtol=1e-5)
    scores = task.score(examples, predictions)
    assert list(scores) == ["spearman", "pearson", "mse"]
    assert scores["pearson"] == pytest.approx(np.corrcoef([50, 8, 11], logits[:, 0])[0, 1], 1e-5)
    assert scores["mse"] == pytest.approx(np.mean((logits[:, 0] * 20 + 10 - [50, 8, 11]) ** 2))
    examples, predictions, logits = run(task, tokenizer, "test")
    assert examples.labels is None
    task.write("test", examples, predictions, str(tmp_path))
    written = load(tmp_path / "mine-test.jsonl")
    assert written == [
        {"id": number, "score": pytest.approx(value * 20 + 10, abs=1e-4)}
        for number, value in enumerate(logits[:, 0])
    ]


def test_losses(tmp_path, random):
    hidden = random.normal(size=(5, 3, HIDDEN)).astype("float32")
    classes = np.array([2, 0, 1, 2, 2], np.int32)
    several = random.integers(0, 2, (5, 3)).astype(np.int32)
    targets = random.random((5, 1)).astype("float32")
    batches = {
        "classification": {"labels": classes[:, None]},
        "multi_label": {"labels": several},
        "regression": {"targets": targets},
    }
    for kind, batch in batches.items():
        known = {"value_range": (0, 1)} if kind == "regression" else {"labels": ("x", "y", "z")}
        task = new_task(tmp_path, kind, **known)
        head = filled_head(task)
        head.logit.bias.assign(random.normal(size=head.logit.bias.shape))
        logits = numpy_logits(head, hidden)
        expected = {
            "classification": lambda x: -special.log_softmax(x, -1)[np.arange(5), classes],
            "multi_label": lambda x: (
                -np.where(several, special.log_expit(x), special.log_expit(-x)).sum(-1) / 3
            ),
            "regression": lambda x: (x[:, 0] - targets[:, 0]) ** 2,
        }[kind](logits)
        losses = task.losses(head, hidden, batch, None)
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        dropping = initialize(task.new_head(model_config(0.5), None), 0.02, 1)
        dropping.logit.bias.assign(head.logit.bias)
        np.testing.assert_allclose(task.losses(dropping, hidden, batch, None), losses)
        dropped = task.losses(dropping, hidden, batch, Dropout(0, 0))
        assert not np.isclose(dropped, losses).any()
        constant = {
            "classification": np.bincount(classes)[None] / 5,
            "multi_label": several.mean(0),
            "regression": targets.mean(),
        }[kind]
        guess = {
            "classification": lambda p: -np.log(p[0, classes]).mean(),
            "multi_label": lambda p: -np.log(np.where(several, p, 1 - p)).mean(),
            "regression": lambda mean: np.mean((targets - mean) ** 2),
        }[kind](constant)
        assert task.chance_loss(Encoded(batch, np.arange(5))) == pytest.approx(guess, rel=1e-5)


def test_head_reads_the_first_token(random):
    hidden = random.normal(size=(4, 6, HIDDEN)).astype("float32")
    for hidden_layer in (False, True):
        head = ClassificationHead(model_config(0.5), 3, name="task", hidden_layer=hidden_layer)
        head.build()
        initialize(head, 0.5, 3)
        layers = ["dense", "logit"] if hidden_layer else ["logit"]
        assert sorted(variable.path for variable in head.trainable_variables) == sorted(
            f"task/{layer}/{part}" for layer in layers for part in ("kernel", "bias")
        )
        inputs = hidden[:, 0].astype(np.float64)
        if hidden_layer:
            inputs = inputs @ np.array(head.dense.kernel) + np.array(head.dense.bias)
            inputs *= special.ndtr(inputs)
        expected = inputs @ np.array(head.logit.kernel) + np.array(head.logit.bias)
        np.testing.assert_allclose(head(hidden), expected, rtol=1e-4, atol=1e-6)
        one, same, other = (np.array(head(hidden, dropout=Dropout(1, step))) for step in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(one, other) and not np.allclose(one, expected)


def test_head_output_is_float32_also_in_mixed_precision(random):
    head = ClassificationHead(model_config(), 3, name="task", dtype="mixed_bfloat16")
    head.build()
    hidden = random.normal(size=(2, 3, HIDDEN)).astype("float32")
    assert head(hidden).dtype == "float32"


def test_names_of_json_labels(tmp_path):
    for values, names, numbers in (
        ([True, False, True], ("false", "true"), [1, 0, 1]),
        ([2, 1.5, 2, -1], ("-1", "1.5", "2"), [2, 1, 2, 0]),
        (["two", "1"], ("1", "two"), [1, 0]),
    ):
        save(tmp_path / "train.jsonl", [{"text": "", "label": value} for value in values])
        task = new_task(tmp_path)
        assert task.labels == names
        assert task.read("train").labels.tolist() == numbers


def test_prediction_input_needs_no_labels_and_no_training_file(tmp_path, tokenizer):
    save(tmp_path / "new.jsonl", [{"no": 5, "q": "the", "a": "model"}])
    task = new_task(
        tmp_path / "gone", labels=("x", "y"), text_field="q", pair_field="a", id_field="no"
    )
    examples = task.read_file(str(tmp_path / "new.jsonl"))
    assert (examples.ids, examples.texts, examples.pairs) == ([5], ["the"], ["model"])
    assert examples.labels is None
    encoded = task.encode(examples, tokenizer, False)
    assert encoded.features["segment_ids"][0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    ranged = new_task(tmp_path / "gone", "regression", value_range=(-1.0, 3.0))
    assert ranged.outputs(lambda hidden: hidden, np.ones((1, 1)), {})["scores"] == [[3.0]]


def test_empty_texts_are_counted(tmp_path, caplog):
    save(
        tmp_path / "train.jsonl",
        [{"text": "a", "label": "x"}, {"text": " ", "label": "y"}, {"text": "", "label": "x"}],
    )
    assert len(new_task(tmp_path).read("train")) == 3
    assert "train.jsonl: 2 examples have an empty text, the first in line 2" in caplog.text


GOOD = [{"id": 1, "text": "a", "label": "x"}, {"id": 2, "text": "b", "label": "y"}]


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        (
            "classification",
            [*GOOD, {"id": 3, "text": "a", "label": "X"}],
            r"one of x, y. Received: 'X' in .*train.jsonl, line 3",
        ),
        (
            "classification",
            [*GOOD, {"id": 2, "text": "a", "label": "x"}],
            r"Ids must be unique. Received: 2 in .*train.jsonl, lines 2 and 3",
        ),
        (
            "classification",
            [{"id": 1.5, "text": "a", "label": "x"}],
            r"An id must be.*1.5 .*line 1",
        ),
        (
            "classification",
            [*GOOD, {"id": 3, "text": None, "label": "x"}],
            "A text must be a string. Received: null in .*line 3",
        ),
        (
            "classification",
            [{"id": 1, "text": "a", "label": ""}],
            'A label must be a name and not empty. Received: "" in .*train.jsonl, line 1',
        ),
        ("classification", [{"id": 1, "text": "a", "label": ["x"]}], "a name .*Received: .*line 1"),
        ("classification", [], "at least one example. Received: .*train.jsonl"),
        (
            "multi_label",
            [{"id": 1, "text": "a", "label": 3}],
            "Several labels must be a list. Received: 3 in .*train.jsonl, line 1",
        ),
        ("multi_label", [{"id": 1, "text": "a", "label": ["x", "z"]}], "Received: 'z' in .*line 1"),
    ],
)
def test_bad_examples(tmp_path, kind, rows, message):
    save(tmp_path / "train.jsonl", rows)
    with pytest.raises(ValueError, match=message):
        new_task(tmp_path, kind, labels=("x", "y"), id_field="id").read("train")


@pytest.mark.parametrize("value", ["good", "", None, True, "nan", "inf", "1_0", "٣", [1]])
def test_regression_labels_are_numbers(tmp_path, value):
    save(tmp_path / "train.jsonl", [{"text": "a", "label": 1}, {"text": "a", "label": value}])
    with pytest.raises(ValueError, match="must be a number. Received: .* in .*train.jsonl, line 2"):
        new_task(tmp_path, "regression").read("train")
    with pytest.raises(ValueError, match="must be a number. Received: .* in .*train.jsonl, line 2"):
        new_task(tmp_path, "regression").output  # noqa: B018


def test_labels_of_the_training_file_must_differ(tmp_path):
    save(tmp_path / "train.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": 1}])
    with pytest.raises(ValueError, match="at least 2 different labels. Received: 1 in .*train"):
        new_task(tmp_path).read("train")
    with pytest.raises(ValueError, match="different numbers as labels. Received: .*train.jsonl"):
        new_task(tmp_path, "regression").output  # noqa: B018


def test_settings_that_cannot_be(tmp_path):
    with pytest.raises(
        ValueError, match="kind must be one of glue, classification, multi_label, regr.*'sorting'"
    ):
        kind_of(TaskConfig(kind="sorting"))
    with pytest.raises(ValueError, match="labels must be different names. Received: x, y, x"):
        new_task(tmp_path, labels=("x", "y", "x"))
    with pytest.raises(ValueError, match="max_seq_length must be at least 5. Received: 4"):
        new_task(tmp_path, pair_field="b", max_seq_length=4)
    with pytest.raises(
        ValueError,
        match="The train file must be one of train.tsv, train.csv, "
        r"train.jsonl .*Received: .*has none of them",
    ):
        new_task(tmp_path).read("train")
    with pytest.raises(ValueError, match="The dev file must be one of mine.csv"):
        task = new_task(tmp_path, eval_file="mine.csv", labels=("x", "y"))
        assert "dev" in task.splits
        task.read("dev")
