"""Rows from Python: the same examples, and the same answers, as from a file."""

import json

import numpy as np
import pytest

from electra_tf.config.finetuning import FinetuneConfig, TaskConfig
from electra_tf.tasks.registry import build_task
from electra_tf.tasks.sentence.examples import SentencePredictions
from electra_tf.tasks.squad.answers import Answers


def new_task(kind, **fields):
    return build_task(FinetuneConfig(task=TaskConfig(kind=kind, **fields)))


def read(task, tmp_path, lines):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return task.read_file(str(path))


def written(task, examples, predictions, tmp_path):
    task.write_file(examples, predictions, str(tmp_path / "out.jsonl"))
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_texts(tmp_path):
    task = new_task("classification", labels="x,y", text_field="q")
    expected = read(task, tmp_path, [{"q": "One"}, {"q": ""}, {"q": "naïve"}])
    assert task.examples_from_rows(["One", "", "naïve"]) == expected
    assert task.examples_from_rows([{"q": "One", "more": 3}, "", {"q": "naïve"}]) == expected
    assert task.examples_from_rows(("half \ud83d",)).texts == ["half "]
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]], np.float32)
    predictions = SentencePredictions(np.array([1, 0, 0], np.int32), probabilities)
    answers = task.answers(expected, predictions)
    assert answers[0] == {"id": 0, "label": "y", "probabilities": {"x": 0.25, "y": 0.75}}
    assert written(task, expected, predictions, tmp_path) == answers


def test_pairs_with_ids(tmp_path):
    task = new_task("regression", low=0.0, high=1.0, pair_field="pair", id_field="key")
    lines = [{"text": "a", "pair": "b", "key": "k"}, {"text": "c", "pair": "d", "key": 1}]
    expected = read(task, tmp_path, lines)
    assert task.examples_from_rows(lines) == expected
    assert task.examples_from_rows([lines[0], ("c", "d")]) == expected
    answers = task.answers(expected, SentencePredictions(np.array([0.5, 2], np.float32)))
    assert answers == [{"id": "k", "score": 0.5}, {"id": 1, "score": 2.0}]


def test_glue():
    task = new_task("glue", name="rte")
    examples = task.examples_from_rows([("a", "b"), {"sentence1": "c", "sentence2": "d"}])
    assert (examples.texts, examples.pairs, examples.ids) == (["a", "c"], ["b", "d"], [0, 1])


def test_words(tmp_path):
    task = new_task("tagging", labels="B-X,I-X,O")
    lines = [{"words": ["Of", "New York"]}, {"text": " Of\tYork "}, {"words": []}]
    expected = read(task, tmp_path, lines)
    for given in (lines, [["Of", "New York"], "Of York", ()]):
        assert task.examples_from_rows(given).words == expected.words
    predictions = [("O", "B-X"), ("B-X", "I-X"), ()]
    answers = task.answers(expected, predictions)
    assert answers[1] == {
        "words": ["Of", "York"],
        "tags": ["B-X", "I-X"],
        "spans": [{"type": "X", "start": 0, "end": 2}],
    }
    assert written(task, expected, predictions, tmp_path) == answers
    plain = new_task("tagging", labels="A,B", scheme="plain")
    assert plain.answers(plain.examples_from_rows(["x"]), [("A",)]) == [
        {"words": ["x"], "tags": ["A"]}
    ]


def test_questions(tmp_path):
    task = new_task("squad", version=2, null_threshold=1.0)
    rows = [
        {"question": "Who?", "context": "Ada wrote it."},
        {"question": "What?", "context": "Ada wrote it.", "id": "q"},
    ]
    examples = task.examples_from_rows(rows)
    assert examples.contexts == ["Ada wrote it."] and not examples.is_labelled
    assert [question.id for question in examples.questions] == ["0", "q"]
    assert [question.text for question in examples.questions] == ["Who?", "What?"]
    predictions = Answers({"0": "Ada", "q": "it"}, {"0": 0.5, "q": 2.0}, {})
    answers = task.answers(examples, predictions)
    assert answers == [{"id": "0", "answer": "Ada"}, {"id": "q", "answer": ""}]
    task.write_file(examples, predictions, str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == {"0": "Ada", "q": ""}


@pytest.mark.parametrize(
    ("fields", "rows", "message"),
    [
        ({"kind": "glue", "name": "rte"}, "text", "rows must be a list of rows. Received: 'text'"),
        ({"kind": "glue", "name": "rte"}, [], "at least one row. Received: none"),
        (
            {"kind": "glue", "name": "rte"},
            [("a", "b"), "a"],
            r"A row must be a pair of texts or a dict with the fields 'sentence1' and "
            r"'sentence2'\. Received: 'a' as rows\[1\]",
        ),
        (
            {"kind": "multi_label", "labels": "x"},
            [("a", "b")],
            r"A row must be a text or a dict with the field 'text'\. .*rows\[0\]",
        ),
        ({"kind": "multi_label", "labels": "x"}, [{"text": 3}], r"must be a text .*rows\[0\]"),
        (
            {"kind": "multi_label", "labels": "x", "id_field": "key"},
            [{"text": "a", "key": 1.5}],
            r"An id must be a string or a whole number\. Received: 1\.5 in rows\[0\]",
        ),
        ({"kind": "tagging", "labels": "X"}, ["a", 3], r"list of words.*Received: 3 as rows\[1\]"),
        ({"kind": "tagging", "labels": "X"}, [["a", 3]], r"'words' must be a list.*rows\[0\]"),
        ({"kind": "squad"}, ["a"], r"rows\[0\] must have the field 'context'.*Received: a"),
        ({"kind": "squad"}, [{"context": "a"}], r"rows\[0\].* must have the field 'question'"),
        (
            {"kind": "squad"},
            [{"context": "a", "question": "b", "id": "1"}, {"context": "a", "question": "b"}],
            r"rows\[1\]: an id must occur once. Received: '1' twice",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said(fields, rows, message):
    with pytest.raises(ValueError, match=message):
        new_task(**fields).examples_from_rows(rows)
