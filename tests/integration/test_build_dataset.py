"""From text files to a data set directory, as a user would run it."""

import json
import lzma
import pathlib
import random
import subprocess
import sys

import pytest
import tensorflow as tf

from electra_tf.data.build import build_dataset
from electra_tf.text import chunks
from tests.conftest import ROOT, WORDS

LENGTH = 32
VOCABULARY_WORDS = [word for word in WORDS if not word.startswith("##")]


def write_corpus(path, num_documents=200, seed=0):
    rng = random.Random(seed)
    texts = []
    for number in range(num_documents):
        lines = [
            " ".join(rng.choices(VOCABULARY_WORDS, k=rng.randint(3, 40)))
            for _ in range(rng.randint(1, 8))
        ]
        texts.append(f"document {number}\n" + "\n".join(lines))
    text = "\n\n".join(texts)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return str(path)


def contents(folder):
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def examples(folder, dataset, split):
    paths = [str(folder / file["name"]) for file in dataset["splits"][split]["files"]]
    names = ["input_ids", "input_mask", "segment_ids"]
    if dataset["packing"] == "documents":
        names.append("document_ids")
    spec = {name: tf.io.FixedLenFeature([dataset["seq_length"]], tf.int64) for name in names}
    records = list(tf.data.TFRecordDataset(paths)) if paths else []
    return [tf.io.parse_single_example(record, spec) for record in records]


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks out of a small corpus. Cutting is done in this process or by sub-processes
    that get the size from here, so that this reaches all of them."""
    monkeypatch.setattr(chunks, "_MIN_CHUNK_BYTES", 20_000)


def test_same_bytes_for_any_number_of_workers(tmp_path, tiny_vocab_file, small_chunks):
    inputs = [write_corpus(tmp_path / "a.txt"), write_corpus(tmp_path / "b.txt.xz", seed=1)]
    settings = dict(seq_length=LENGTH, eval_fraction=0.05, seed=3)
    one = build_dataset(inputs, tiny_vocab_file, tmp_path / "1", num_workers=1, **settings)
    two = build_dataset(inputs, tiny_vocab_file, tmp_path / "2", num_workers=2, **settings)
    assert len(one["splits"]["train"]["files"]) >= 4
    assert one == two
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    other = build_dataset(
        inputs, tiny_vocab_file, tmp_path / "3", num_workers=1, **(settings | {"seed": 4})
    )
    assert other["fingerprint"] != one["fingerprint"]


@pytest.mark.parametrize("packing", ["none", "documents"])
def test_contents(tmp_path, tiny_vocab_file, packing):
    source = write_corpus(tmp_path / "a.txt")
    output = tmp_path / "data"
    dataset = build_dataset(
        [source], tiny_vocab_file, output, seq_length=LENGTH, eval_fraction=0.1, packing=packing
    )
    assert json.loads((output / "dataset.json").read_text()) == dataset
    assert (output / "vocab.txt").read_bytes() == tiny_vocab_file.read_bytes()
    assert str(tmp_path) not in (output / "dataset.json").read_text()
    assert dataset["inputs"][0]["name"] == "a.txt"
    splits = dataset["splits"]
    assert splits["train"]["documents"] + splits["eval"]["documents"] == 200
    assert 5 <= splits["eval"]["documents"] <= 40
    for split, counts in splits.items():
        rows = examples(output, dataset, split)
        assert len(rows) == counts["examples"] == sum(f["examples"] for f in counts["files"])
        assert sum(int(tf.reduce_sum(row["input_mask"])) for row in rows) == counts["tokens"]
        for row in rows:
            filled = row["input_mask"].numpy() == 1
            assert row["input_ids"][0] == 2 and row["input_ids"].numpy()[filled][-1] == 3
            assert (row["input_ids"].numpy()[~filled] == 0).all()
            assert not filled[1:][~filled[:-1]].any()
        if packing == "documents":
            padded = [row for row in rows if not row["input_mask"].numpy().all()]
            assert len(padded) <= 1
            assert max(int(row["document_ids"].numpy().max()) for row in rows) > 1


def test_each_split_gets_a_document(tmp_path, tiny_vocab_file):
    source = write_corpus(tmp_path / "a.txt", num_documents=2)
    for fraction in (1e-9, 0.999999):
        dataset = build_dataset(
            [source], tiny_vocab_file, tmp_path / f"{fraction}", eval_fraction=fraction
        )
        assert [dataset["splits"][s]["documents"] for s in ("train", "eval")] == [1, 1]
    without = build_dataset([source], tiny_vocab_file, tmp_path / "all", eval_fraction=0)
    assert without["splits"]["eval"] == {"documents": 0, "examples": 0, "tokens": 0, "files": []}


def test_equal_documents_share_a_split(tmp_path, tiny_vocab_file):
    for name, seed in (("a", 0), ("b", 0), ("c", 0)):
        write_corpus(tmp_path / f"{name}.txt", num_documents=60, seed=seed)
    dataset = build_dataset(
        [f"{tmp_path}/*.txt"], tiny_vocab_file, tmp_path / "out", eval_fraction=0.3
    )
    counts = [dataset["splits"][split]["documents"] for split in ("train", "eval")]
    assert sum(counts) == 180 and all(count % 3 == 0 and count for count in counts)


def test_broken_text_is_counted(tmp_path, tiny_vocab_file):
    (tmp_path / "a.txt").write_bytes(b"the mod\xffel\n\n\x01\x02\n\nthe text\n\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "the words"}\n{"text": ""}\n{broken\n')
    (tmp_path / "c.txt").write_bytes(b"")
    dataset = build_dataset(
        [f"{tmp_path}/*.txt", f"{tmp_path}/*.jsonl"], tiny_vocab_file, tmp_path / "out"
    )
    assert dataset["skipped"] == {
        "bad_json_lines_skipped": 1,
        "documents_without_tokens_skipped": 1,
        "empty_documents_skipped": 1,
        "empty_files": 1,
        "invalid_utf8_lines_mended": 1,
    }
    assert sum(dataset["splits"][split]["documents"] for split in ("train", "eval")) == 3


def test_existing_output(tmp_path, tiny_vocab_file):
    source = write_corpus(tmp_path / "a.txt")
    output = tmp_path / "out"
    output.mkdir()
    build_dataset([source], tiny_vocab_file, output)  # an empty directory may be filled
    before = contents(output)
    with pytest.raises(ValueError, match="--overwrite"):
        build_dataset([source], tiny_vocab_file, output)
    (tmp_path / "damaged.txt.xz").write_bytes(lzma.compress(b"the text\n" * 99)[:-9])
    with pytest.raises(ValueError, match="damaged.txt.xz"):
        build_dataset([f"{tmp_path}/*.txt*"], tiny_vocab_file, output, overwrite=True)
    assert contents(output) == before
    build_dataset([source], tiny_vocab_file, output, overwrite=True, seed=1)
    assert contents(output) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "damaged.txt.xz", "out"]


def test_tfds(tmp_path, tiny_vocab_file):
    pytest.importorskip("importlib_resources", reason="TFDS needs it to write a data set")
    tfds = pytest.importorskip("tensorflow_datasets")
    texts = {"train": ["the text\n\nof the model", "more words"], "test": ["data"]}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_text",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices({"text": lines})
            for split, lines in texts.items()
        },
        data_dir=str(tmp_path / "tfds"),
        disable_shuffling=True,
    )
    tfds.core.add_data_dir(str(tmp_path / "tfds"))
    for name, documents in [("tiny_text", 2), ("tiny_text:1.0.0:test", 1), ("tiny_text:all", 3)]:
        dataset = build_dataset(
            [f"tfds:{name}"], tiny_vocab_file, tmp_path / name, num_workers=1, eval_fraction=0
        )
        assert dataset["splits"]["train"]["documents"] == documents
    with pytest.raises(ValueError, match="fields text"):
        build_dataset(
            ["tfds:tiny_text"], tiny_vocab_file, tmp_path / "x", num_workers=1, text_field="body"
        )
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    source = write_corpus(folder / "a.txt", num_documents=10)
    (folder / "no_mask.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")

    def run(vocab, *flags):
        output = folder / "out"
        arguments = [f"--input={source}", f"--vocab={vocab}", f"--output_dir={output}", *flags]
        done = subprocess.run(
            [sys.executable, "-m", "electra_tf", "build_dataset", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert sorted(path.name for path in folder.iterdir() if path.name[0] == ".") == []
        return done, output

    return run


def test_command(command, tiny_vocab_file):
    done, output = command(tiny_vocab_file, "--seq_length=16", "--eval_fraction=0.2")
    assert done.returncode == 0, done.stderr
    assert "words/s" in done.stderr
    assert "train" in done.stdout and "examples" in done.stdout
    assert "0.00% of the tokens are in no example (0 of " in done.stdout
    assert json.loads((output / "dataset.json").read_text())["seq_length"] == 16


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--input=absent/*.txt", "Received: absent/*.txt"),
        ("--seq_length=4", "seq_length must be from 8 to max_positions (512). Received: 4"),
        ("--eval_fraction=1.5", "eval_fraction must be at least 0 and below 1. Received: 1.5"),
        ("--vocab=no_mask", "without [MASK]"),
        ("--seq_lenght=16", "Received: --seq_lenght=16"),
    ],
)
def test_command_refuses(command, tiny_vocab_file, flag, message, tmp_path):
    if flag == "--vocab=no_mask":
        no_mask = tmp_path / "no_mask.txt"
        no_mask.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
        flag = f"--vocab={no_mask}"
    done, _ = command(tiny_vocab_file, "--overwrite", flag)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: ") and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
