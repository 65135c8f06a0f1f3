"""Labels and tags as files write them: what is one class, what is none, what a run says of them."""

import json

import numpy as np
import pytest
import tiny_tasks

from electra_tf.config.finetuning import FinetuneConfig, TaskConfig
from electra_tf.errors import UserError
from electra_tf.runs import finetuning, results
from electra_tf.tasks.registry import build_task
from electra_tf.tasks.squad.answers import Answers

TAGGED = "EU\tB-ORG\nrejects\tO\n\nthe\tO\nUN\tB-ORG\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return tiny_tasks.write_model(tmp_path_factory.mktemp("model") / "tiny", tiny_vocab_file)


@pytest.fixture
def config_of(tmp_path, model):
    """A config of a kind of task, with files of these contents."""

    def make(kind, files=None, **fields):
        for name, content in (files or {}).items():
            if not isinstance(content, str):
                content = "".join(json.dumps(row) + "\n" for row in content)
            (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        config = FinetuneConfig(task=TaskConfig(kind=kind, name="mine"), init_from=model)
        config.data.dir = str(tmp_path)
        config.task.max_seq_length = 32
        config.task.max_query_length = 8
        for name, value in fields.items():
            setattr(config.task, name, value)
        return config

    return make


def rows(*labels):
    return [{"text": f"text {number}", "label": label} for number, label in enumerate(labels)]


def table(*labels):
    return "label\ttext\n" + "".join(f"{label}\ttext\n" for label in labels)


def questions(*entries):
    qas = [
        {"id": str(number), "question": "the model?", "answers": answers, "is_impossible": empty}
        for number, (answers, empty) in enumerate(entries)
    ]
    return json.dumps({"data": [{"paragraphs": [{"context": "the model of data", "qas": qas}]}]})


def refusal(function, *args) -> str:
    with pytest.raises(UserError) as error:
        function(*args)
    message = str(error.value)
    assert "\n" not in message and len(message) < 700
    return message


def output_of(config):
    return build_task(config).output


def labels_of(config):
    return output_of(config).labels


def training_examples_of(config):
    return build_task(config).read("train")


ALIKE = [
    ("neg", " neg"),
    ("pos ", "pos"),
    ("neg", "Neg"),
    ("1", "1.0"),
    ("1.50", "1.5"),
    ("01", "1"),
    ("-2", "-2.0"),
    ("true", "True"),
    ("1", "true"),
    ("False", "0.0"),
    ("New York", "New  York"),
    ("New York", "NewYork"),
    ("neg", "neg\u200b"),
    ("\ufeffneg", "neg"),
    ("caf\u00e9", "cafe\u0301"),
]


@pytest.mark.parametrize("first, second", ALIKE)
def test_labels_that_differ_in_form_are_named(config_of, first, second):
    for kind, files in {
        "classification": {"train.tsv": table(first, "other", second)},
        "multi_label": {"train.tsv": table(f"other|{first}", "other", second)},
    }.items():
        said = refusal(labels_of, config_of(kind, files))
        assert said.startswith("Labels must differ in more than blanks, case or the form of a ")
        assert f"Received: {first!r} and {second!r} in " in said
        assert said.endswith("train.tsv, lines 2 and 4")
    # Who lists them means them.
    files = {"train.tsv": table(first, "other", second)}
    config = config_of("classification", files, labels=json.dumps([first, second, "other"]))
    assert training_examples_of(config).labels.tolist() == [0, 2, 1]


@pytest.mark.parametrize("label", ["nan", "NaN"])
def test_a_label_that_is_not_there(config_of, label):
    config = config_of("classification", {"train.tsv": table("1", "0", label)})
    assert f"Received: {label!r} in " in refusal(labels_of, config)
    config.task.labels = f"0,1,{label}"
    assert training_examples_of(config).labels.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    "names", [("1", "10"), ("1.5", "15"), ("-1", "1"), ("0.1", "0.01"), ("a-b", "ab"), ("é", "e")]
)
def test_labels_that_differ_in_more_are_two(config_of, names):
    assert set(labels_of(config_of("classification", {"train.tsv": table(*names)}))) == set(names)


@pytest.mark.parametrize(
    "first, second, kinds",
    [
        (1, True, "a number and a truth value, true,"),
        (1, "1", 'a number and a string, "1",'),
        ("x", 0.5, "a string and a number, 0.5,"),
        (False, "false", 'a truth value and a string, "false",'),
    ],
)
def test_labels_of_a_file_have_one_type(config_of, first, second, kinds):
    config = config_of("classification", {"train.jsonl": rows(first, first, second)})
    said = refusal(labels_of, config)
    assert said.startswith(f"The labels of a file must be of one type. Received: {kinds} in ")
    assert said.endswith("train.jsonl, lines 1 and 3")
    config.task.labels = "1,true,x,0.5,false"
    assert refusal(build_task(config).read, "train") == said
    several = config_of("multi_label", {"train.jsonl": rows([first], [], [first, second])})
    assert refusal(labels_of, several) == said


def test_numbers_and_strings_are_not_one_column_of_numbers(config_of):
    config = config_of("regression", {"train.jsonl": rows(1, 2.5, "3")})
    assert refusal(output_of, config).startswith("The labels of a file must be of one type")
    config = config_of("regression", {"train.jsonl": rows("1", "2.5", "3")})
    assert build_task(config).read("train").labels.tolist() == [1, 2.5, 3]


@pytest.mark.parametrize("label", ["", " ", "\u00a0", "\u200b", None, {}, [[]]])
def test_empty_labels(config_of, label):
    config = config_of("classification", {"train.jsonl": rows("x", "y", label)})
    said = refusal(labels_of, config)
    assert "A label must be a name and not empty" in said and said.endswith("train.jsonl, line 3")


def test_a_label_of_another_form_than_the_training_files(config_of):
    files = {"train.tsv": table("neg", "pos"), "dev.tsv": table("neg", " pos")}
    said = refusal(build_task(config_of("classification", files)).read, "dev")
    assert "must be one of neg, pos. Received: ' pos' in " in said
    assert said.endswith("dev.tsv, line 3, which is not 'pos'")


def test_class_lists_are_short_in_messages(config_of):
    files = {"train.tsv": table(*(f"c{number:04}x" for number in range(5000)))}
    task = build_task(config_of("classification", files | {"dev.tsv": table("c1")}))
    assert "c0019x and 4980 more. Received: 'c1'" in refusal(task.read, "dev")


@pytest.mark.parametrize("labels", ["x,y,x", '["x", "y", "x"]', "[1, 1]", "x,,y", '["x", ""]'])
@pytest.mark.parametrize("kind", ["classification", "multi_label", "tagging"])
def test_class_lists_hold_different_names(config_of, kind, labels):
    files = {"train.txt": TAGGED, "train.tsv": table("x", "y")}
    said = refusal(build_task, config_of(kind, files, labels=labels, scheme="plain"))
    assert "must be different" in said or "not empty" in said


def test_class_lists_of_json_values(config_of):
    config = config_of("classification", {"train.jsonl": rows(True, False)}, labels="[false, true]")
    assert build_task(config).read("train").labels.tolist() == [1, 0]


@pytest.mark.parametrize("label", ["1e39", "-1e39", "1e400", 1e39, 10**299, "3.5e38", "9" * 60])
def test_numbers_beyond_float32(config_of, label):
    for name, content in {
        "train.jsonl": rows(1, 2, label) if not isinstance(label, str) else rows("1", "2", label),
        "train.tsv": table(1, 2, label),
    }.items():
        config = config_of("regression", {name: content})
        config.data.train_file = name
        line = 3 if name.endswith("jsonl") else 4
        for read in (output_of, training_examples_of):
            said = refusal(read, config)
            assert said.startswith("A label must be a number from -3.403e+38 to 3.403e+38. ")
            assert said.endswith(f"{name}, line {line}")


@pytest.mark.parametrize("label", ["1_000", "0x10", "nan", "inf", "1,5", "٣", "1 2", "", "true"])
def test_strings_that_are_no_numbers(config_of, label):
    config = config_of("regression", {"train.tsv": table(1, 2, label)})
    said = refusal(build_task(config).read, "train")
    assert said.startswith("A label must be a number. Received: ") and said.endswith("line 4")


def test_numbers_as_people_write_them(config_of):
    config = config_of("regression", {"train.tsv": table(" 5", "+1", "-.5 ", "1e1", "2.", "007")})
    assert build_task(config).read("train").labels.tolist() == [5, 1, -0.5, 10, 2, 7]


@pytest.mark.parametrize("labels", [("-3e38", "3e38"), ("1", "1.00000001"), ("0", "1e-60")])
def test_a_range_that_float32_cannot_hold(config_of, labels):
    config = config_of("regression", {"train.tsv": table(*labels)})
    assert "train.tsv" in refusal(output_of, config)


def test_large_numbers_are_scaled(config_of):
    task = build_task(config_of("regression", {"train.tsv": table("-1e38", "0", "2e38")}))
    targets = task.output.loss_features(task.read("train").labels)["targets"]
    np.testing.assert_allclose(targets, [[0], [1 / 3], [1]], atol=1e-6)


@pytest.mark.parametrize("ids", [(True,), (1.5,), (None,), ([1],), (1, "1"), ("a", "b", "a")])
def test_ids(config_of, ids):
    lines = [{"text": "a", "label": "x", "id": value} for value in ids]
    config = config_of("classification", {"train.jsonl": lines}, labels="x,y", id_field="id")
    said = refusal(build_task(config).read, "train")
    assert "unique" in said if len(ids) > 1 else said.startswith("An id must be a string or a")
    assert "train.jsonl, line" in said


@pytest.mark.parametrize("fields", [{"label_field": "text"}, {"pair_field": "text"}])
def test_one_column_is_not_both(config_of, fields):
    said = refusal(build_task, config_of("classification", labels="x,y", **fields))
    assert said.startswith("text_field, pair_field and label_field must be different.")


@pytest.mark.parametrize(
    "tags, message",
    [
        (["NN", "nn"], "Tags must differ in more than .* Received: 'NN' and 'nn' in"),
        (["1", "1.0"], "Tags must differ in more than .* Received: '1' and '1.0' in"),
        (["B-PER", "I-Per", "O"], "Tags must differ .* Received: 'PER' and 'Per' in"),
        (["B-PER", "o"], "must be O or begin with .* Received: 'o' in .*line 2"),
        (["B-PER", "I_PER", "O"], "must be O or begin with .* Received: 'I_PER' in .*line 2"),
    ],
)
def test_tags_that_are_probably_one(config_of, tags, message):
    text = "".join(f"word\t{tag}\n" for tag in tags)
    with pytest.raises(UserError, match=message):
        build_task(config_of("tagging", {"train.txt": text}))


def test_tags_of_another_scheme_are_counted(config_of, caplog):
    files = {"train.txt": TAGGED + "\nUN\tB-ORG\nhall\tI-ORG\n", "dev.txt": TAGGED}
    files["dev.txt"] += "\nEU\tI-ORG\nhall\tI-ORG\n\nof\tO\n"
    task = build_task(config_of("tagging", files))
    assert task.scheme == "BIO"
    task.read("train")
    assert not caplog.text
    task.read("dev")
    assert (
        "dev.txt: the tags of 1 of 4 sentences do not keep to the scheme, which is BIO, the first "
        "in line 7" in caplog.text
    )


def glue_rows(*more):
    return "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n" + "".join(more)


def test_glue_rows_that_are_left_out_are_counted(config_of, caplog):
    text = glue_rows("1\ta\n", "2\ta\tb\tc\tentailment\n", "3\ta\tb\tnot_entailment\n")
    task = build_task(config_of("glue", {"train.tsv": text}, name="rte"))
    examples = task.read("train")
    assert examples.ids == ["0", "3"]
    assert "1 lines have missing fields and are left out, the first is line 3" in caplog.text
    assert "1 lines have surplus fields and are left out, the first is line 4" in caplog.text
    assert task.facts(examples) == {
        "file": "train.tsv",
        "examples": 2,
        "left out": 2,
        "columns": {"text": 1, "pair": 2, "label": 3},
        "labels": {"entailment": 1, "not_entailment": 1},
    }


@pytest.mark.parametrize(
    "name, text",
    [
        ("rte", "0\ta\tb\tentailment\n1\ta\tb\tentailment\n"),
        ("sst-2", "a text\t1\nanother\t0\n"),
        ("sts-b", "0\tg\tf\ty\to\ts\ts\ta\tb\t3.80\n"),
    ],
)
def test_glue_files_without_a_header(config_of, name, text):
    task = build_task(config_of("glue", {"train.tsv": text}, name=name))
    assert "must begin with the names of its columns. Received: " in refusal(task.read, "train")


def test_cola_has_no_header(config_of):
    text = "source\tlabel\tmark\tsentence\ngj04\t1\t\ta\n"
    task = build_task(config_of("glue", {"train.tsv": text}, name="cola"))
    assert "must be one of 0, 1. Received: 'label' in " in refusal(task.read, "train")


# By kind of task: files, fields, and the lines that say what was understood.
UNDERSTOOD = {
    "classification": (
        {"train.csv": 'label,text\nx,a\n"y, z",b\nx,c\n', "test.csv": "text\na\n"},
        {},
        [
            "train: train.csv; examples 3; columns: text 'text', label 'label'; "
            "labels: 'x' 2, 'y, z' 1",
            "test: test.csv; examples 1; columns: text 'text'",
        ],
    ),
    "multi_label": (
        {"train.jsonl": rows(["a", "b"], [], ["b"])},
        {},
        [
            "train: train.jsonl; examples 3; columns: text 'text', label 'label'; "
            "labels: 'a' 1, 'b' 2; without label 1"
        ],
    ),
    "regression": (
        {"train.tsv": table(0, 4, 2), "dev.tsv": table(1.5)},
        {},
        [
            "train: train.tsv; examples 3; columns: text 'text', label 'label'; "
            "numbers: 'least' 0.0, 'mean' 2.0, 'largest' 4.0",
            "dev: dev.tsv; examples 1; columns: text 'text', label 'label'; "
            "numbers: 'least' 1.5, 'mean' 1.5, 'largest' 1.5",
        ],
    ),
    "tagging": (
        {"train.txt": "# a comment\n" + TAGGED},
        {},
        [
            "train: train.txt; sentences 2; words 4; left out: 'comments' 1; "
            "columns: 'word' 0, 'tag' -1; scheme BIO; tags: 'B-ORG' 2, 'O' 2"
        ],
    ),
    "squad": (
        {"train.json": questions(([{"text": "model", "answer_start": 4}], False), ([], True))},
        {},
        ["train: train.json; contexts 1; questions 2; with answer 1; without answer 1"],
    ),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_what_was_understood_is_said_before_training(
    config_of, kind, tmp_path, capsys, monkeypatch
):
    def result(trials, number):
        seen.append(capsys.readouterr().err)
        return {"seed": number, "stuck": False, "metrics": {}, "calibration": {}}

    seen = []
    monkeypatch.setattr(finetuning.Trials, "result", result)
    files, fields, lines = UNDERSTOOD[kind]
    config = config_of(kind, files, **fields)
    config.num_trials = 2
    summary = finetuning.finetune(config, str(tmp_path / "run"))
    assert [line for line in seen[0].splitlines() if ": " in line] == lines
    assert seen[1:] == [""]  # once, whatever the number of trials
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert written == summary
    assert [results.facts_line(*item) for item in written["data"].items()] == lines


def test_long_class_lists_are_short_on_the_terminal():
    labels = {f"c{number}": number for number in range(100)}
    line = results.facts_line("train", {"file": "a.csv", "labels": labels})
    assert line.startswith("train: a.csv; labels: 'c99' 99, 'c98' 98, ")
    assert line.endswith("'c80' 80 and 80 more")


# By kind of task: a training file with nothing to tell apart.
ALL_ONE = {
    "classification": ({"train.tsv": table("x", "x")}, {"labels": "x,y"}),
    "multi_label": ({"train.tsv": table("x", "x")}, {"labels": "x,y"}),
    "regression": ({"train.tsv": table(2, 2)}, {"low": 0.0, "high": 4.0}),
    "tagging": ({"train.txt": "EU\tO\nrejects\tO\n\nthe\tO\n"}, {}),
    "squad": ({"train.json": questions(([], True), ([], True))}, {}),
    "glue": ({"train.tsv": glue_rows(), "dev.tsv": glue_rows()}, {"name": "rte"}),
}


@pytest.mark.parametrize("kind", ALL_ONE)
def test_one_class_is_refused(config_of, kind, tmp_path, capsys):
    files, fields = ALL_ONE[kind]
    config = config_of(kind, files, **fields)
    said = refusal(finetuning.finetune, config, str(tmp_path / "run"))
    assert said.startswith("Training examples must differ in what is to be learnt of them")
    assert "Received: train: train." in said
    assert not (tmp_path / "run").exists() and not capsys.readouterr().err  # of this error alone


def test_one_class_among_the_chosen_examples_is_refused(config_of, tmp_path):
    config = config_of("classification", {"train.tsv": table(*"x" * 99, "y")})
    config.data.max_train_examples = 5
    said = refusal(finetuning.finetune, config, str(tmp_path / "run"))
    assert "labels: 'x' 99, 'y' 1; config.data.max_train_examples=5 of them" in said


def test_questions_to_evaluate_have_answers(config_of, tmp_path):
    good = questions(([{"text": "model", "answer_start": 4}], False))
    files = {"train.json": good, "dev.json": questions(([], False)), "test.json": good}
    task = build_task(config_of("squad", files))
    assert "dev.json must hold answers. Received: none" in refusal(task.read, "dev")
    assert len(task.read("test")) == 1


def test_answers_with_half_a_surrogate_pair_are_written(config_of, tmp_path):
    task = build_task(config_of("squad", {"test.json": questions(([], False))}, version=1))
    rows = [{"id": "q", "question": "Was?", "context": "half \ud83d é"}]
    answers = Answers({"q": "half \ud83d é"}, {}, {})
    task.write_file(task.examples_from_rows(rows), answers, str(tmp_path / "answers.json"))
    written = (tmp_path / "answers.json").read_text(encoding="utf-8")
    assert "é" in written and json.loads(written) == answers.texts


def test_answers_elsewhere_are_left_out_and_named(config_of, caplog, tiny_vocab_file):
    from electra_tf import Tokenizer

    answers = [({"text": "model", "answer_start": place},) for place in (4, 12, 999, -1)]
    text = questions(*((list(answer), False) for answer in answers))
    task = build_task(config_of("squad", {"train.json": text}))
    encoded = task.encode(task.read("train"), Tokenizer(tiny_vocab_file), training=True)
    assert encoded.rows.tolist() == [0]
    assert "3 of 4 questions are left out of training" in caplog.text
    assert "the first is '1'" in caplog.text
