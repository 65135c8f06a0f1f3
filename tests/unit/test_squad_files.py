"""Which file is read, what it says, and what is said about damaged ones."""

import gzip
import json

import pytest

from electra_tf.tasks.squad.files import find_question_file, read_questions
from electra_tf.tasks.squad.task import QuestionAnsweringTask


def squad(*questions, context="The model has words."):
    return {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}],
    }


def question(name="q1", **more):
    return {
        "id": name,
        "question": "What has words?",
        "answers": [{"text": "The model", "answer_start": 0}, {"text": "model", "answer_start": 4}],
    } | more


def written(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return str(path)


@pytest.mark.parametrize("name", ["dev.json", "dev.json.gz"])
def test_squad(tmp_path, name):
    path = written(
        tmp_path / name, squad(question(), question("q2", is_impossible=True, answers=[]))
    )
    examples = read_questions(path, version=2)
    first, second = examples.questions
    assert len(examples) == 2 and examples.contexts == ["The model has words."]
    assert first.answers == ("The model", "model") and first.target == ("The model", 0)
    assert second.answers == () and second.target is None and second.is_impossible
    assert examples.is_labelled


@pytest.mark.parametrize("name", ["dev.jsonl", "dev.jsonl.gz"])
def test_mrqa(tmp_path, name):
    lines = [
        {"header": {"dataset": "x"}},
        {
            "context": "[DOC] The model",
            "qas": [
                {
                    "qid": "a",
                    "id": "other",
                    "question": "What?",
                    "answers": ["model", "Model"],
                    "detected_answers": [{"text": "model", "char_spans": [[10, 14], [0, 1]]}],
                }
            ],
        },
        {
            "context": "[DOC] The model",
            "qas": [{"qid": "b", "question": "Who?", "answers": ["it"], "detected_answers": []}],
        },
    ]
    path = written(tmp_path / name, "\n".join(map(json.dumps, lines)) + "\n\n")
    examples = read_questions(path, version=1)
    assert [(q.id, q.context, q.answers, q.target) for q in examples.questions] == [
        ("a", 0, ("model", "Model"), ("model", 10)),
        ("b", 0, ("it",), None),
    ]
    assert examples.contexts == ["[DOC] The model"]


def test_without_answers(tmp_path):
    path = written(tmp_path / "new.json", squad({"id": "1", "question": "Why?"}))
    for version in (1, 2):
        assert not read_questions(path, version).is_labelled


def test_empty_contexts_are_counted(tmp_path, caplog):
    path = written(tmp_path / "dev.json", squad(question(), context=" \n"))
    read_questions(path, version=1)
    assert "1 contexts are empty" in caplog.text


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", r"dev\.json must be JSON\. Received: Expecting"),
        ([], "must have the field 'data', a list"),
        ({"data": [{"title": "t"}]}, "article 0 must have the field 'paragraphs'"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "paragraph 0 must have the field 'context'"),
        (squad({"question": "Why?"}), "question 0 must have the field 'id'"),
        (squad({"id": "q7"}), r"\('q7'\) must have the field 'question'"),
        (
            squad(question("q7", answers=[{"answer_start": 1}])),
            r"\('q7'\) must have the field 'text'",
        ),
        (
            squad(question("q7", answers=[{"text": "a", "answer_start": None}])),
            r"\('q7'\): answer_start must be a whole number, .*Received: null",
        ),
        (squad(question("q7"), question("q7")), "id must occur once. Received: 'q7' twice"),
        (
            squad(question(), question("q7", answers=[])),
            "unless version is 2. Received: question 'q7'",
        ),
    ],
)
def test_damaged_squad(tmp_path, content, message):
    path = written(tmp_path / "dev.json", content)
    with pytest.raises(ValueError, match=message) as error:
        read_questions(path, version=1)
    assert path in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"context": "a"', "line 2 must be JSON"),
        ('{"context": "a"}', "line 2 must have the field 'qas'"),
        ('{"context": "a", "qas": [{"id": "1"}]}', "line 2, question 0 must have the field 'qid'"),
        (
            '{"context": "a", "qas": [{"qid": "x", "question": "b", "answers": [], '
            '"detected_answers": [{"text": "a", "char_spans": []}]}]}',
            r"\('x'\): char_spans must be",
        ),
        (
            '{"context": "a", "qas": [{"qid": "x", "question": "b", "answers": [{"text": "a"}]}]}',
            r"\('x'\): answers must be texts",
        ),
    ],
)
def test_damaged_mrqa(tmp_path, line, message):
    path = written(tmp_path / "dev.jsonl", '{"header": {}}\n' + line)
    with pytest.raises(ValueError, match=message):
        read_questions(path, version=1)


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "dev.json",
            b"\xff",
            r"UTF-8 text\. Received: .*dev\.json, line 1, with the byte 0xff",
        ),
        ("dev.json.gz", b"plain", r"readable to its end\. Received: .*dev\.json\.gz"),
        (
            "dev.jsonl.gz",
            gzip.compress(b"x" * 999, mtime=0)[:-9],
            r"readable to its end\. Received: .*dev\.jsonl\.gz",
        ),
    ],
)
def test_damaged_bytes(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_questions(str(tmp_path / name), version=1)


@pytest.mark.parametrize(
    "present, name, version, expected",
    [
        ("dev.json dev-v1.1.json", "", 1, "dev.json"),
        ("dev-v1.1.json dev-v2.0.json dev-mini.json", "", 2, "dev-v2.0.json"),
        ("dev-mini-v1.1.json.gz dev-mini-v2.0.json.gz", "", 1, "dev-mini-v1.1.json.gz"),
        ("dev_nq.jsonl.gz dev.txt", "", 1, "dev_nq.jsonl.gz"),
        ("mine.json.gz dev.json", "mine.json", 1, "mine.json.gz"),
        ("train.json", "", 1, None),
    ],
)
def test_which_file(tmp_path, present, name, version, expected):
    for one in present.split():
        (tmp_path / one).touch()
    found = find_question_file(str(tmp_path), name, "dev", version)
    assert found == (None if expected is None else str(tmp_path / expected))


def test_no_file_or_too_many(tmp_path):
    for name in ("dev-b.json", "dev-a.json.gz"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"one dev file.* Received: dev-a.json.gz, dev-b.json"):
        find_question_file(str(tmp_path), "", "dev", 1)
    with pytest.raises(ValueError, match=r"must exist, plain or as .gz. Received: .*other.json"):
        find_question_file(str(tmp_path), "other.json", "dev", 1)
    with pytest.raises(ValueError, match="must hold train"):
        QuestionAnsweringTask("x", str(tmp_path / "nowhere"))


def test_splits_are_the_files_there_are(tmp_path):
    written(tmp_path / "dev.json", squad(question()))
    task = QuestionAnsweringTask("x", str(tmp_path))
    assert task.splits == ("dev",) and len(task.read("dev")) == 1
    with pytest.raises(ValueError, match="split must be one of dev. Received: train"):
        task.read("train")
    written(tmp_path / "train.json", squad(question()))
    written(tmp_path / "test.json", {"data": []})
    task = QuestionAnsweringTask("x", str(tmp_path))
    assert task.splits == ("train", "dev", "test")
    with pytest.raises(ValueError, match="must hold at least one question"):
        task.read("test")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"version": 3}, "version must be 1 .* or 2 .*Received: 3"),
        ({"doc_stride": 0}, "doc_stride must be at least 1. Received: 0"),
        ({"max_seq_length": 67}, r"at least max_query_length \+ 4 = 68. Received: 67"),
    ],
)
def test_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        QuestionAnsweringTask("x", str(tmp_path), **settings)
