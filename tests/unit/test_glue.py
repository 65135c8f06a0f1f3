"""GLUE in its original layouts: made by hand, and the real files where there are some."""

import gzip
import pathlib
import shutil

import numpy as np
import pytest

from electra_tf import Tokenizer
from electra_tf.tasks.sentence import glue_layouts
from electra_tf.tasks.sentence.examples import SentencePredictions
from electra_tf.tasks.sentence.glue import GlueTask
from tests import made_glue
from tests.conftest import REFERENCE, SHARED, where_shared

# Rows of train, dev and test as GLUE's website gives them; the metrics, the main one first.
KNOWN = {
    "CoLA": ((8551, 1043, 1063), ["matthews", "accuracy"]),
    "SST-2": ((67349, 872, 1821), ["accuracy"]),
    "MRPC": ((3668, 408, 1725), ["accuracy", "f1"]),
    "STS-B": ((5749, 1500, 1379), ["spearman", "pearson"]),
    "RTE": ((2490, 277, 3000), ["accuracy"]),
    "WNLI": ((635, 71, 146), ["accuracy"]),
}
# By split: first and last examples of (id, first text's beginning, second's, label).
FIRST = {
    ("CoLA", "train"): (0, "Our friends won't buy", None, 1),
    ("CoLA", "dev"): (0, "The sailors rode the", None, 1),
    ("CoLA", "test"): ("0", "Bill whistled past the house.", None, None),
    ("SST-2", "train"): (0, "hide new secretions", None, 0),
    ("SST-2", "test"): ("0", "uneasy mishmash", None, None),
    ("MRPC", "train"): (0, "Amrozi accused his brother", "Referring to him as", 1),
    ("MRPC", "dev"): (0, "He said the foodservice", '"The foodservice pie', 1),
    ("MRPC", "test"): ("0", "PCCW's chief operating", "Current Chief Operating", None),
    ("STS-B", "train"): ("0", "A plane is taking off.", "An air plane is taking off.", 5.0),
    ("STS-B", "dev"): ("0", "A man with a hard hat", "A man wearing a hard hat", 5.0),
    ("STS-B", "test"): ("0", "A girl is styling", "A girl is brushing", None),
    ("RTE", "train"): ("0", "No Weapons of Mass", "Weapons of Mass", 1),
    ("RTE", "test"): ("0", "Mangla was summoned", "Shukla is related", None),
    ("WNLI", "dev"): ("0", "The drain is clogged", "The hair has to be", 0),
}
# The larger class and its share, as published with the data sets.
MAJORITY = {("CoLA", "dev"): (1, 0.691), ("MRPC", "dev"): (1, 0.684), ("RTE", "dev"): (0, 0.527)}
MNLI_HEADER = (
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse "
    "sentence1_parse sentence2_parse sentence1 sentence2"
).split()


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


def save(path, rows, newline="\n"):
    text = "".join("\t".join(row) + newline for row in rows)
    path.write_bytes(text.encode("utf-8"))


def predicted(task, examples, seed=0):
    """Predictions of a task from random outputs of its head."""
    random = np.random.default_rng(seed)
    if not task.labels:
        return SentencePredictions(random.normal(2.5, 3, len(examples)).astype(np.float32))
    logits = random.normal(size=(len(examples), len(task.labels)))
    return SentencePredictions(logits.argmax(-1).astype(np.int32), logits.astype(np.float32))


def directory_of(name: str, place: str, tmp_path) -> pathlib.Path:
    """Where a task's files are; made ones are written there."""
    if place == "made":
        made_glue.write(name, tmp_path / "made")
        return tmp_path / "made"
    return {"shipped": REFERENCE, "whole": SHARED / "data" / "glue"}[place] / name


def places_of(*names: str) -> list:
    """(name, place) of each task: made by hand, but for WNLI, and the real files if there are."""
    places = [(name, "shipped" if name == "WNLI" else "made") for name in names]
    return [*places, *where_shared(*((name, "whole") for name in names if name != "WNLI"))]


@pytest.mark.parametrize("name, place", places_of(*KNOWN))
def test_real_files(tmp_path, name, place):
    counts, metrics = KNOWN[name]
    counts = made_glue.COUNTS[name] if place == "made" else counts
    task = GlueTask(name, str(directory_of(name, place, tmp_path)))
    assert task.splits == ("train", "dev", "test") and task.name == name
    assert task.main_metric == metrics[0]
    for split, count in zip(task.splits, counts):
        examples = task.read(split)
        assert len(examples) == len(examples.ids) == count
        assert len(set(examples.ids)) == count
        assert (examples.labels is None) == (split == "test")
        assert all(text.strip() for text in examples.texts + (examples.pairs or []))
        if split != "test":
            assert len(examples.labels) == count
            if task.labels:
                assert set(examples.labels.tolist()) == set(range(len(task.labels)))
            else:
                assert examples.labels.min() == 0 and examples.labels.max() == 5
            assert list(task.score(examples, predicted(task, examples))) == metrics
        if (name, split) in FIRST:
            identity, first, second, label = FIRST[name, split]
            assert examples.ids[0] == identity
            assert examples.texts[0].startswith(first)
            assert (examples.pairs is None) == (second is None)
            assert second is None or examples.pairs[0].startswith(second)
            assert label is None or examples.labels[0] == label
        if (name, split) in MAJORITY and place == "whole":
            label, share = MAJORITY[name, split]
            assert np.mean(examples.labels == label) == pytest.approx(share, abs=1e-3)
    predictions = predicted(task, examples)
    task.write("test", examples, predictions, str(tmp_path))
    lines = (tmp_path / f"{name}.tsv").read_text().splitlines()
    assert lines[0] == "index\tprediction" and len(lines) == counts[2] + 1
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[0] for row in rows] == [str(number) for number in range(counts[2])]
    if task.labels:
        assert [task.labels[label] for label in predictions.labels] == [row[1] for row in rows]
        wanted = {"entailment", "not_entailment"} if name == "RTE" else {"0", "1"}
        assert {row[1] for row in rows} == wanted
    else:
        values = np.array([float(row[1]) for row in rows])
        np.testing.assert_allclose(values, predictions.labels.clip(0, 5), atol=5.01e-4)
        assert {len(row[1].split(".")[1]) for row in rows} == {3}


@pytest.mark.parametrize("name, place", places_of("MRPC"))
def test_microsofts_own_files_give_the_same_mrpc(tmp_path, name, place):
    source = directory_of(name, place, tmp_path)
    rows = {
        split: [
            line.split("\t")
            for line in (source / f"{split}.tsv").read_text("utf-8-sig").rstrip("\n").split("\n")
        ]
        for split in ("train", "dev", "test")
    }
    mixed = [row for pair in zip(rows["train"][1:], rows["dev"][1:]) for row in pair]
    mixed += rows["train"][len(rows["dev"]) :]
    header = ["\ufeffQuality", *rows["train"][0][1:]]
    save(tmp_path / "msr_paraphrase_train.txt", [header, *mixed], "\r\n")
    save(
        tmp_path / "msr_paraphrase_test.txt",
        [header] + [["1", *row[1:]] for row in rows["test"][1:]],
        "\r\n",
    )
    with pytest.raises(
        ValueError,
        match="The list of the dev pairs in msr_paraphrase_train.txt "
        "must be one of dev_ids.tsv, dev.tsv",
    ):
        GlueTask("mrpc", str(tmp_path)).read("dev")
    expected = GlueTask("mrpc", str(source))
    for listed in ("dev.tsv", "dev_ids.tsv"):
        if listed == "dev.tsv":
            shutil.copy(source / "dev.tsv", tmp_path / "dev.tsv")
        else:
            (tmp_path / "dev.tsv").unlink()
            save(tmp_path / "dev_ids.tsv", [row[1:3] for row in rows["dev"][1:]])
        task = GlueTask("mrpc", str(tmp_path))
        assert task.splits == ("train", "dev", "test")
        for split in task.splits:
            one, other = task.read(split), expected.read(split)
            assert (one.texts, one.pairs) == (other.texts, other.pairs)
            assert [str(identity) for identity in one.ids] == [str(i) for i in other.ids]
            np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize(("name", "factor"), [("MRPC", 2), ("STS-B", 2), ("RTE", 1), ("WNLI", 1)])
def test_which_pairs_are_trained_in_both_orders(tmp_path, tokenizer, name, factor):
    layout = glue_layouts.LAYOUTS[name.lower().replace("-", "")]
    row = ["the", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
    row[layout.label] = layout.labels[-1] if layout.labels else "2.5"
    row[layout.columns[0]], row[layout.columns[1]] = "a", "model data"
    save(tmp_path / "train.tsv", [[f"column{number}" for number in range(10)], row, row])
    task = GlueTask(name, str(tmp_path))
    encoded = task.encode(task.read("train"), tokenizer, True)
    assert encoded.rows.tolist() == [0] * factor + [1] * factor
    ids = tokenizer.tokenize(["a", "model data"])
    orders = [[2, *ids[0], 3, *ids[1], 3], [2, *ids[1], 3, *ids[0], 3]][:factor]
    assert [row[row != 0].tolist() for row in encoded.features["input_ids"]] == orders * 2
    if name == "STS-B":
        assert encoded.features["targets"].tolist() == [[0.5]] * 4
    else:
        assert encoded.features["labels"].tolist() == [[1]] * (2 * factor)


def test_qnli_by_hand(tmp_path, caplog):
    save(
        tmp_path / "train.tsv",
        [
            ["index", "question", "sentence", "label"],
            ["0", 'When did "it begin?', "It began.", "entailment"],
            ["1", "Who?"],
            ["2", "Where?", "Not \x85 here.", "not_entailment"],
            [""],
        ],
    )
    save(
        tmp_path / "dev.tsv",
        [
            ["index", "question", "sentence", "label"],
            ["7", "Who?", "She.", "entailment"],
            ["7", "a", "b", "maybe"],
        ],
    )
    save(
        tmp_path / "test.tsv", [["index", "question", "sentence"], ["9", "a", "b"], ["4", "c", "d"]]
    )
    task = GlueTask("QNLI", str(tmp_path))
    train = task.read("train")
    assert train.ids == ["0", "2"] and train.labels.tolist() == [0, 1]
    assert train.texts == ['When did "it begin?', "Where?"]
    assert train.pairs == ["It began.", "Not \x85 here."]
    assert "train.tsv: 1 lines have missing fields and are left out, the first is line 3" in (
        caplog.text
    )
    with pytest.raises(
        ValueError,
        match="one of entailment, not_entailment. Received: 'maybe' in .*dev.tsv, line 3",
    ):
        task.read("dev")
    test = task.read("test")
    task.write("test", test, SentencePredictions(np.array([1, 0])), str(tmp_path / "out"))
    assert (tmp_path / "out" / "QNLI.tsv").read_text() == (
        "index\tprediction\n9\tnot_entailment\n4\tentailment\n"
    )


def test_qqp_by_hand(tmp_path, caplog):
    header = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    save(
        tmp_path / "train.tsv",
        [
            header,
            ["133273", "213221", "213222", 'How is "it?', "How?", "1"],
            ["402555", "536040", "536041", "broken"],
            ["360472", "1", "2", "Who?", "Me?", "0"],
            ["5"],
        ],
    )
    save(
        tmp_path / "dev.tsv",
        [
            header,
            ["1", "2", "3", "a", "b", "0"],
            ["2", "2", "3", "a", "b", "1"],
            ["3", "2", "3", "c", "d", "1"],
        ],
    )
    save(tmp_path / "test.tsv", [["id", "question1", "question2"], ["0", "a", "b"]])
    task = GlueTask("qqp", str(tmp_path))
    train = task.read("train")
    assert train.ids == ["133273", "360472"] and train.labels.tolist() == [1, 0]
    assert (train.texts, train.pairs) == (['How is "it?', "Who?"], ["How?", "Me?"])
    assert "train.tsv: 2 lines have missing fields and are left out, the first is line 3" in (
        caplog.text
    )
    dev = task.read("dev")
    scores = task.score(dev, SentencePredictions(np.array([1, 1, 0])))
    assert list(scores.items()) == [("accuracy", pytest.approx(1 / 3)), ("f1", 0.5)]
    test = task.read("test")
    assert (test.ids, test.texts, test.pairs) == (["0"], ["a"], ["b"])
    task.write("dev", dev, SentencePredictions(np.array([1, 1, 0])), str(tmp_path))
    assert (tmp_path / "QQP-dev.tsv").read_text() == "index\tprediction\n1\t1\n2\t1\n3\t0\n"


def mnli_row(index, first, second, *labels):
    return [
        str(index),
        "31193",
        "31193n",
        "government",
        "( ( Con",
        "( b",
        "(ROOT",
        "(ROOT",
        first,
        second,
        *labels,
    ]


def test_mnli_by_hand(tmp_path):
    save(
        tmp_path / "train.tsv",
        [
            [*MNLI_HEADER, "label1", "gold_label"],
            mnli_row(0, "a", "b", "neutral", "neutral"),
            mnli_row(1, "c", "d", "entailment", "entailment"),
            mnli_row(2, "e", "f", "contradiction", "contradiction"),
        ],
    )
    dev_header = [*MNLI_HEADER, *(f"label{number}" for number in range(1, 6)), "gold_label"]
    for split, gold in [("dev_matched", "neutral"), ("dev_mismatched", "contradiction")]:
        save(
            tmp_path / f"{split}.tsv",
            [dev_header, mnli_row(0, split, "b", "entailment", *["neutral"] * 4, gold)],
        )
    for split in ("test_matched", "test_mismatched"):
        save(tmp_path / f"{split}.tsv", [MNLI_HEADER, mnli_row(5, split, "b")])
    task = GlueTask("mnli", str(tmp_path))
    assert task.splits == (
        "train",
        "dev_matched",
        "dev_mismatched",
        "test_matched",
        "test_mismatched",
    )
    assert task.labels == ("contradiction", "entailment", "neutral")
    assert task.read("train").labels.tolist() == [2, 1, 0]
    assert task.read("train").pairs == ["b", "d", "f"]
    assert task.read("dev_matched").labels.tolist() == [2]
    assert task.read("dev_mismatched").labels.tolist() == [0]
    save(tmp_path / "diagnostic.tsv", [["index", "sentence1", "sentence2"], ["0", "x", "y"]])
    assert task.splits[-1] == "test_diagnostic"
    files = {
        "train": "MNLI-train",
        "dev_matched": "MNLI-m-dev",
        "dev_mismatched": "MNLI-mm-dev",
        "test_matched": "MNLI-m",
        "test_mismatched": "MNLI-mm",
        "test_diagnostic": "AX",
    }
    assert set(files) == set(task.splits)
    for split in task.splits[1:]:
        examples = task.read(split)
        assert examples.texts == ["x" if split == "test_diagnostic" else split]
        task.write(split, examples, SentencePredictions(np.array([1])), str(tmp_path / "out"))
        assert (tmp_path / "out" / f"{files[split]}.tsv").read_text() == (
            f"index\tprediction\n{examples.ids[0]}\tentailment\n"
        )


def test_given_files(tmp_path):
    assert GlueTask("mnli", str(tmp_path), eval_file="mine.tsv", test_file="t.tsv").splits == (
        "train",
        "dev_matched",
        "test_matched",
    )
    header = ["index", "sentence1", "sentence2", "label"]
    (tmp_path / "mine.tsv.gz").write_bytes(
        gzip.compress(("\t".join(header) + "\n0\ta\tb\tentailment\n").encode())
    )
    task = GlueTask("rte", str(tmp_path), train_file="other.tsv", eval_file="mine.tsv")
    assert task.splits == ("train", "dev") and task.read("dev").texts == ["a"]
    with pytest.raises(ValueError, match="The train file of RTE must be one of other.tsv"):
        task.read("train")
    save(tmp_path / "other.tsv", [header[:3], ["0", "a", "b"]])
    with pytest.raises(
        ValueError,
        match="A train file of RTE must have at least 4 columns. "
        "Received: index, sentence1, sentence2 in .*other.tsv",
    ):
        task.read("train")


def test_texts_to_predict(tmp_path):
    (tmp_path / "new.csv").write_text('sentence,question\n"It, or not.",What?\n')
    examples = GlueTask("qnli", "gone").read_file(str(tmp_path / "new.csv"))
    assert (examples.texts, examples.pairs, examples.ids) == (["What?"], ["It, or not."], [0])


def test_names_that_users_write():
    for name in ("sst2", "SST-2", "sst_2", "sst"):
        assert GlueTask(name, "").name == "SST-2"
    for name in ("STSB", "sts-b", "sts"):
        assert GlueTask(name, "").name == "STS-B"
    assert [GlueTask(name, "").name for name in ("cola", "RTE", "Wnli", "QNLI", "mrpc")] == [
        "CoLA",
        "RTE",
        "WNLI",
        "QNLI",
        "MRPC",
    ]
    with pytest.raises(ValueError, match="must be one of CoLA, .*, WNLI. Received: 'squad'"):
        GlueTask("squad", "")
