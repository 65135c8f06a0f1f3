"""`tfds:NAME` as data: TFDS's own builders read hand-made original files, nothing is downloaded.

The reference is what the tasks read from the same original files without TFDS.
"""

import json
import os

import numpy as np
import pytest

from electra_tf.config.finetuning import FinetuneConfig, FinetuneDataConfig, TaskConfig
from electra_tf.tasks.registry import build_task
from electra_tf.tasks.sentence.glue import GlueTask
from electra_tf.tasks.squad import files as squad_files

NUM_ROWS = 12  # enough for TFDS's shuffling to show
PAIRS = "index sentence1 sentence2"
MNLI = PAIRS.replace(" ", " promptID pairID genre parse1 parse2 parse3 parse4 ", 1)
# Folder; columns of train and dev; of test; labels.
GLUE = {
    "cola": ("CoLA", "source is_acceptable mark sentence", "index sentence", "0 1"),
    "sst2": ("SST-2", "sentence label", "index sentence", "1 0"),
    "stsb": ("STS-B", "index genre year sentence1 sentence2 score", PAIRS, "3.8 0.0 5.0 0.123"),
    "qqp": (
        "QQP",
        "id qid1 qid2 question1 question2 is_duplicate",
        "id question1 question2",
        "1 0",
    ),
    "mnli": ("MNLI", MNLI + " label1 gold_label", MNLI, "neutral entailment contradiction"),
    "qnli": (
        "QNLI",
        "index question sentence label",
        "index question sentence",
        "not_entailment entailment",
    ),
    "rte": ("RTE", PAIRS + " label", PAIRS, "not_entailment entailment"),
    "wnli": ("WNLI", PAIRS + " label", PAIRS, "1 0"),
}
LABELS = ("label", "is_acceptable", "score", "is_duplicate", "gold_label")
SQUAD = [
    {
        "context": "Ärzte live in the city.\nIt is “small”.",
        "qas": [
            {
                "id": "q1",
                "question": "Where do they live?",
                "is_impossible": False,
                "answers": [
                    {"text": "the city", "answer_start": 14},
                    {"text": "city", "answer_start": 18},
                ],
            },
            {
                "id": "q2",
                "question": "What is it?",
                "is_impossible": False,
                "answers": [{"text": "small", "answer_start": 31}],
            },
        ],
    },
    {
        "context": "Another context.",
        "qas": [{"id": "q3", "question": "Who?", "is_impossible": True, "answers": []}],
    },
]
CONLL = """-DOCSTART- -X- -X- O

U.N. NNP B-NP B-ORG
official NN I-NP O
Ekeus NNP B-NP B-PER

Rare JJ B-NP O
words NNS I-NP O

"""


@pytest.fixture(scope="module")
def tfds():
    import tensorflow_datasets as tfds

    class OwnPairs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.2.3")
        SPLITS = {"train": range(12), "validation": range(4), "test": range(3), "extra": range(2)}

        def _info(self):
            kinds = tfds.features
            return tfds.core.DatasetInfo(
                builder=self,
                features=kinds.FeaturesDict(
                    {
                        "name": kinds.Text(),
                        "sentence1": kinds.Text(),
                        "sentence2": kinds.Text(),
                        "label": kinds.ClassLabel(names=["not_entailment", "entailment"]),
                        "score": np.float32,
                        "is_new": np.bool_,
                        "topics": kinds.Sequence(kinds.ClassLabel(names=["art", "a|b", "sport"])),
                        "pixels": kinds.Tensor(shape=(2,), dtype=np.int32),
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in self.SPLITS}

        def _generate_examples(self, split):
            for number in self.SPLITS[split]:
                hidden = split == "test" or (split, number) == ("train", 5)
                yield (
                    number,
                    {
                        "name": f"{split} {number}",
                        "sentence1": f'a\t"{number}"\r\nsaid ü',
                        "sentence2": "same",
                        "label": -1 if hidden else number % 2,
                        "score": number * 0.1,
                        "is_new": number == 1,
                        "topics": [[], [1], [0, 2]][number % 3],
                        "pixels": [1, 2],
                    },
                )

    return tfds


@pytest.fixture
def downloads(tfds, tmp_path, monkeypatch):
    """A function that says what TFDS's downloads give; TFDS's directory is temporary."""
    from tensorflow_datasets.core import constants

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tfds"))

    def serve(result):
        def download(manager, urls):
            if isinstance(result, Exception):
                raise result
            return result

        for method in ("download", "download_and_extract"):
            monkeypatch.setattr(tfds.download.DownloadManager, method, download)

    serve(AssertionError("nothing to download"))
    return serve


def task_of(data_dir, files=None, **settings):
    return build_task(
        FinetuneConfig(
            task=TaskConfig(**settings), data=FinetuneDataConfig(dir=data_dir, **files or {})
        )
    )


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def texts_and_labels(examples):
    labels = None if examples.labels is None else examples.labels.tolist()
    return [str(name) for name in examples.ids], examples.texts, examples.pairs, labels


def write_glue(directory, key):
    """The files of a GLUE task as its website gives them."""
    folder, columns, test_columns, labels = GLUE[key]
    labels = labels.split()
    names = ["train", "dev", "test"]
    if key == "mnli":
        names[1:] = ["dev_matched", "dev_mismatched", "test_matched", "test_mismatched"]
    for name in names:
        header = (test_columns if name.startswith("test") else columns).split()
        rows = [] if key == "cola" and name != "test" else [header]
        for number in range(NUM_ROWS):
            known = {"index": number, "id": number} | dict.fromkeys(
                LABELS, labels[number * 7 % len(labels)]
            )
            rows.append(
                [known.get(column, f'The {column} "of {name} – {number}') for column in header]
            )
        save(
            directory / folder / f"{name}.tsv",
            "".join("\t".join(map(str, row)) + "\n" for row in rows),
        )
    return str(directory / folder)


@pytest.mark.parametrize("key", GLUE)
def test_glue_is_as_without_tfds(key, tmp_path, downloads):
    original = write_glue(tmp_path, key)
    downloads(str(tmp_path))
    expected = GlueTask(key, original)
    actual = task_of(f"tfds:glue/{key}", kind="glue", name=key)
    assert actual.splits == expected.splits
    for split in expected.splits:
        assert texts_and_labels(actual.read(split)) == texts_and_labels(expected.read(split)), split
    assert len(actual.read("train")) == NUM_ROWS


def test_mrpc_of_microsofts_files(tmp_path, downloads):
    header = "\t".join(["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]) + "\n"
    rows = "".join(
        f'{number % 2}\t{number}\t9\tIt is "{number}\tit\n' for number in range(NUM_ROWS)
    )
    for name, text in {
        "msr_paraphrase_train.txt": "\ufeff" + header + rows,
        "msr_paraphrase_test.txt": "\ufeff" + header + rows,
        "dev_ids.tsv": "3\t9\n4\t9\n",
    }.items():
        save(tmp_path / "MRPC" / name, text)
    folder = str(tmp_path / "MRPC")
    downloads(
        {
            "dev_ids": f"{folder}/dev_ids.tsv",
            "train": f"{folder}/msr_paraphrase_train.txt",
            "test": f"{folder}/msr_paraphrase_test.txt",
        }
    )
    expected = GlueTask("mrpc", folder)
    actual = task_of("tfds:glue/mrpc", kind="glue", name="mrpc")
    for split in ("train", "dev", "test"):
        assert texts_and_labels(actual.read(split)) == texts_and_labels(expected.read(split))
    assert len(actual.read("dev")) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_squad_has_the_same_questions(version, tmp_path, downloads):
    path = str(tmp_path / "original.json")
    content = {"data": [{"title": "t", "paragraphs": SQUAD[:version]}]}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
    downloads({"train": path, "dev": path})
    task = task_of(f"tfds:squad/v{version}.{2 - version}", kind="squad", version=version)
    assert task.splits == ("train", "dev")
    expected = squad_files.read_questions(path, version)
    for split in task.splits:
        assert questions_of(task.read(split)) == questions_of(expected)


def questions_of(read):
    return {
        question.id: question._replace(context=read.contexts[question.context])
        for question in read.questions
    }


@pytest.mark.parametrize(
    "settings, tags",
    [
        ({"name": "ner"}, ("B-ORG", "O", "B-PER")),
        ({"name": "chunk"}, ("B-NP", "I-NP", "B-NP")),
        ({"label_field": "pos"}, ("NNP", "NN", "NNP")),
    ],
)
def test_conll(settings, tags, tmp_path, downloads):
    for name in ("train", "valid", "test"):
        save(tmp_path / f"{name}.txt", CONLL)
    downloads(tmp_path)
    task = task_of("tfds:conll2003", kind="tagging", **settings)
    assert task.splits == ("train", "dev", "eval_test")
    for split in task.splits:
        read = task.read(split)
        sentences = dict(zip(read.words, read.tags))
        assert len(read) == 2  # TFDS has a third, empty one
        assert sentences["U.N.", "official", "Ekeus"] == tags


def test_own_classification(downloads, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        task = task_of(
            "tfds:own_pairs",
            kind="classification",
            text_field="sentence1",
            pair_field="sentence2",
            id_field="name",
        )
    assert "1 of 12 examples have no label" in caplog.text
    assert task.splits == ("train", "dev", "test")
    assert task.labels == ("entailment", "not_entailment")
    read = task.read("train")
    assert dict(zip(read.ids, read.labels.tolist())) == {
        f"train {number}": 1 - number % 2 for number in range(12) if number != 5
    }
    assert sorted(read.texts)[0] == 'a\t"0"\r\nsaid ü'
    assert set(read.pairs) == {"same"}
    assert len(task.read("dev")) == 4
    assert sorted(task.read("test").ids) == ["test 0", "test 1", "test 2"]


@pytest.mark.parametrize(
    "kind, label, expected",
    [
        ("regression", "score", {0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3}),
        ("multi_label", "topics", {0: [0, 0, 0], 1: [0, 1, 0], 2: [1, 0, 1], 3: [0, 0, 0]}),
        ("classification", "is_new", {0: 0, 1: 1, 2: 0, 3: 0}),
    ],
)
def test_own_labels_of_other_kinds(kind, label, expected, downloads):
    task = task_of(
        "tfds:own_pairs:1.2.3",
        kind=kind,
        text_field="sentence1",
        id_field="name",
        label_field=label,
    )
    read = task.read("dev")
    dtype = np.float32 if kind == "regression" else np.int32
    for name, value in zip(read.ids, read.labels):
        np.testing.assert_array_equal(value, dtype(expected[int(name.split()[1])]))
    assert len(read) == 4


def test_any_file_of_the_copy_can_be_named(downloads):
    task = task_of(
        "tfds:own_pairs",
        {"train_file": "dev.jsonl", "eval_file": "train.jsonl"},
        text_field="sentence1",
    )
    assert (len(task.read("train")), len(task.read("dev"))) == (4, 11)


def test_glue_goes_by_names_and_has_blanks_for_tabs(downloads):
    read = task_of("tfds:own_pairs", kind="glue", name="rte").read("train")
    numbers = [int(text.split('"')[1]) for text in read.texts]
    assert sorted(numbers) == [number for number in range(12) if number != 5]
    assert [f'a "{number}"  said ü' for number in numbers] == read.texts
    assert read.labels.tolist() == [1 - number % 2 for number in numbers]  # entailment is 0


def test_a_copy_is_complete_or_absent_and_used_again(tfds, tmp_path, downloads, monkeypatch):
    def refused(*args, split, **kwargs):
        if split == last:
            raise RuntimeError("read")
        return as_dataset(*args, split=split, **kwargs)

    as_dataset, last = tfds.core.DatasetBuilder.as_dataset, "validation"
    monkeypatch.setattr(tfds.core.DatasetBuilder, "as_dataset", refused)
    copies = tmp_path / "tfds" / "electra_tf"
    settings = {"text_field": "sentence1", "label_field": "label"}
    with pytest.raises(RuntimeError, match="read"):
        task_of("tfds:own_pairs", **settings)
    assert os.listdir(copies) == []
    last = None
    task_of("tfds:own_pairs", **settings)
    assert os.listdir(copies) == ["own_pairs-1.2.3-rows-sentence1-label"]
    assert sorted(os.listdir(copies / os.listdir(copies)[0])) == [
        "dev.jsonl",
        "test.jsonl",
        "train.jsonl",
    ]
    last = "train"
    assert len(task_of("tfds:own_pairs", **settings).read("train")) == 11
    with pytest.raises(RuntimeError, match="read"):  # other features are another copy
        task_of("tfds:own_pairs", text_field="sentence2")


@pytest.mark.parametrize("step", ["download_and_prepare", "as_dataset"])
def test_another_worker_may_be_faster(step, tfds, tmp_path, downloads, monkeypatch):
    def slow(*args, **kwargs):
        monkeypatch.setattr(tfds.core.DatasetBuilder, step, original)
        others.append(task_of("tfds:own_pairs", text_field="name"))
        return original(*args, **kwargs)

    original, others = getattr(tfds.core.DatasetBuilder, step), []
    task_of("tfds:own_pairs", text_field="sentence1")  # so that TFDS itself is prepared
    monkeypatch.setattr(tfds.core.DatasetBuilder, step, slow)
    task = task_of("tfds:own_pairs", text_field="name")
    assert others and task.read("train").texts == others[0].read("train").texts
    assert len(os.listdir(tmp_path / "tfds" / "electra_tf")) == 2


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("tfds:no_such_data", {}, "NAME of a data set.*no_such_data"),
        ("tfds:glue/nothing", {"kind": "glue", "name": "rte"}, "NAME of a data set"),
        ("tfds:glue/rte", {"kind": "glue", "name": "rte"}, "`tfds build glue/rte`.*no network"),
        ("tfds:glue/wnli", {"kind": "glue", "name": "rte"}, "must be tfds:glue/rte"),
        ("tfds:own_pairs", {"kind": "glue", "name": "sst2"}, "text of SST-2 must.*'sentence', but"),
        ("tfds:own_pairs", {"kind": "glue", "name": "mnli"}, "'premise'"),
        ("tfds:own_pairs", {"kind": "squad"}, "question's id must be a feature"),
        ("tfds:own_pairs", {"kind": "tagging"}, "words of a sentence must"),
        ("tfds:conll2003", {"kind": "tagging", "name": "x"}, "label_field must.*'label'.*ner"),
        ("tfds:conll2003", {"kind": "tagging", "name": "ner", "label_field": "nre"}, "'nre'"),
        ("tfds:own_pairs", {}, "text_field must.*'text'.*sentence1"),
        ("tfds:own_pairs", {"text_field": "pixels"}, "text_field must"),
        ("tfds:own_pairs", {"text_field": "name", "label_field": "topics"}, "label_field must"),
        (
            "tfds:own_pairs",
            {"text_field": "name", "label_field": "label", "kind": "regression"},
            "label_field must be .*number",
        ),
    ],
)
def test_errors_are_one_line_and_name_the_fix(name, settings, message, tmp_path, downloads):
    downloads(ConnectionError("no network\nand a page of advice"))
    with pytest.raises(ValueError, match=message) as error:
        task_of(name, **settings)
    assert "\n" not in str(error.value)
    assert name in str(error.value)
    assert not os.path.exists(tmp_path / "tfds" / "electra_tf")
