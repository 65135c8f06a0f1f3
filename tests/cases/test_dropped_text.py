"""Corpora of which text would be lost: refused with what to do, or counted and told."""

import bz2
import collections
import gzip
import lzma
import random

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.data import manifest
from electra_tf.data.build import build_dataset
from electra_tf.errors import UserError
from electra_tf.text import chunks, corpus
from electra_tf.text.dropped import Reading
from electra_tf.text.learn import learn_vocab
from tests.conftest import WORDS

KNOWN = [word for word in WORDS if not word.startswith("##")]
FRENCH = "Le café est fermé à Noël, déjà vu.\n"


def sentence(rng, length):
    return " ".join(rng.choices(KNOWN, k=length))


def tokens_of(folder, dataset, split) -> collections.Counter:
    """How often each token, apart from [CLS], [SEP] and [PAD], is in the examples of a split."""
    found = collections.Counter()
    spec = {"input_ids": tf.io.FixedLenFeature([dataset["seq_length"]], tf.int64)}
    for file in dataset["splits"][split]["files"]:
        for record in tf.data.TFRecordDataset(str(folder / file["name"])):
            ids = tf.io.parse_single_example(record, spec)["input_ids"].numpy()
            found.update(ids[~np.isin(ids, (0, 2, 3))].tolist())
    return found


def documents(path, **settings):
    """The documents of a file and what is counted, as every command reads it."""
    sources = corpus.find_sources([str(path)], **settings)
    reading = Reading()
    found = [document for source in sources for document in reading.documents(source)]
    reading.require_healthy(sources)
    return found, reading


@pytest.mark.parametrize("shape", ["one line", "short documents"])
def test_no_token_is_dropped_unless_asked_for(tmp_path, tiny_vocab_file, shape):
    rng = random.Random(0)
    texts = [sentence(rng, 4000)] if shape == "one line" else [sentence(rng, 25) for _ in range(20)]
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    expected = collections.Counter(
        tiny_vocab_file.read_text().split().index(word) for text in texts for word in text.split()
    )
    settings = dict(seq_length=64 if shape == "one line" else 8, eval_fraction=0.0, num_workers=1)
    inputs = [str(tmp_path / "a.txt")]
    kept = build_dataset(inputs, tiny_vocab_file, tmp_path / "kept", **settings)
    assert kept["keep_leftovers"] is True
    assert tokens_of(tmp_path / "kept", kept, "train") == expected
    assert kept["dropped"]["tokens"] == {"count": 0, "of": expected.total(), "share": 0.0}

    original = build_dataset(
        inputs, tiny_vocab_file, tmp_path / "original", keep_leftovers=False, **settings
    )
    dropped = original["dropped"]["tokens"]
    left = tokens_of(tmp_path / "original", original, "train").total()
    assert dropped["count"] == expected.total() - left > 0.3 * expected.total()
    assert dropped["share"] == pytest.approx(1 - left / expected.total(), abs=1e-6)


def test_packing_drops_nothing(tmp_path, tiny_vocab_file):
    (tmp_path / "a.txt").write_text(sentence(random.Random(0), 500))
    dataset = build_dataset(
        [str(tmp_path / "a.txt")],
        tiny_vocab_file,
        tmp_path / "out",
        packing="documents",
        num_workers=1,
    )
    assert dataset["dropped"]["tokens"] == {"count": 0, "of": 500, "share": 0.0}


NOT_TEXT = {
    "UTF-16": (FRENCH * 30).encode("utf-16"),
    "UTF-16LE": (FRENCH * 30).encode("utf-16-le"),
    "UTF-16BE": (FRENCH * 30).encode("utf-16-be"),
    "UTF-32": (FRENCH * 30).encode("utf-32"),
    "LATIN1": (FRENCH * 30).encode("latin-1"),
    "iconv -f LATIN1": (FRENCH.strip() * 30).encode("latin-1"),  # a single line
    "gunzip": gzip.compress(FRENCH.encode()),
    "unxz": lzma.compress(FRENCH.encode()),
    "bunzip2": bz2.compress(FRENCH.encode()),
    "unzip": b"PK\x03\x04" + bytes(26) + b"a.txt",
    "U+FFFD": FRENCH.encode("latin-1").decode("utf-8", "replace").encode() * 30,
    "NUL": b"words\0of\0C\n" * 20,
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("fix", list(NOT_TEXT))
def test_what_is_not_utf8_is_refused_with_the_fix(tmp_path, fix, compressed):
    path = tmp_path / ("a.txt.xz" if compressed else "a.txt")
    path.write_bytes(lzma.compress(NOT_TEXT[fix]) if compressed else NOT_TEXT[fix])
    with pytest.raises(UserError, match=f"must be UTF-8.*{path.name}.*") as error:
        documents(path)
    assert fix in str(error.value)


def test_a_few_damaged_lines_are_counted(tmp_path, tiny_vocab_file):
    lines = [sentence(random.Random(n), 9).encode() for n in range(2000)]
    lines[7], lines[900] = b"the mod\xffel", b"the\0text"
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "the mod\xffel"}\n' + b'{"text": "is"}\n' * 499)
    found = build_dataset(
        [f"{tmp_path}/a.txt", f"{tmp_path}/b.jsonl"],
        tiny_vocab_file,
        tmp_path / "out",
        num_workers=1,
    )
    assert found["dropped"]["damaged_lines"] == {"count": 3, "of": 2500, "share": 0.0012}
    assert found["skipped"]["invalid_utf8_lines_mended"] == 2
    assert found["skipped"]["lines_with_nul_bytes_mended"] == 1


def test_the_worst_file_is_named_wherever_it_is_read(tmp_path, tiny_vocab_file):
    (tmp_path / "good.txt").write_text(FRENCH * 100)
    (tmp_path / "bad.txt").write_bytes(FRENCH.encode("latin-1") * 50)
    inputs, output = [f"{tmp_path}/good.txt,{tmp_path}/bad.txt"], tmp_path / "out"
    for call in (
        lambda: build_dataset(inputs, tiny_vocab_file, output, num_workers=1),
        lambda: learn_vocab(inputs, output),
    ):
        with pytest.raises(UserError, match=r"50 of 150 lines .* most in .*/bad\.txt; .*iconv"):
            call()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "good.txt"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_line_ends_of_any_system(tmp_path, monkeypatch, end, block):
    monkeypatch.setattr(corpus, "_BLOCK_BYTES", block)
    text = b"one\ntwo words\n\n\nthree\n\nfour\n"
    (tmp_path / "a.txt").write_bytes(text.replace(b"\n", end))
    expected = [[b"one", b"two words"], [b"three"], [b"four"]]
    assert documents(tmp_path / "a.txt")[0] == expected
    (source,) = corpus.find_sources([str(tmp_path / "a.txt")])
    for size in range(1, 30):
        found = chunks.make_chunks(source, size, str(tmp_path), collections.Counter())
        read = [d for c in found for d in chunks.read_chunk(c, collections.Counter())]
        assert read == expected, size


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ['{"content": "the text", "id": 7}'] * 3,
            r"'content' \(str\), 'id' \(int\).*text_field",
        ),
        (['{"body": "%s"}' % ("x " * 900_000)] * 3, r"3 of 3 lines.*'body' \(str\)"),
        (['{"text": ["a", "b"]}'] * 20, r"'text' \(list\)"),
        (['{"text": "a"}'] * 80 + ['{"body": "b"}'] * 20, r"20 of 100 lines .*'body' \(str\)"),
        (['{"text": "a"}'] * 80 + ["{broken"] * 20, "per line.*20 of 100 lines"),
        (['[{"text": "the text"},', ' {"text": "a word"}]'], r"one array; .*jq -c '\.\[\]'"),
        (["[", '{"text": "the text"}', "]"], "one array"),
        (["a text", "that is no JSON"] * 10, "one JSON object per line.*20 of 20"),
    ],
)
def test_json_without_the_text(tmp_path, lines, message):
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=message) as error:
        documents(tmp_path / "a.jsonl")
    assert "a.jsonl" in str(error.value)


def test_json_with_another_field(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"content": "the text"}\n' * 19 + '{"text": "x"}\n')
    found, reading = documents(tmp_path / "a.jsonl", text_field="content")
    assert found == [[b"the text"]] * 19
    assert reading.shares()["json_lines"] == {"count": 1, "of": 20, "share": 0.05}


def test_small_files_share_shards(tmp_path, tiny_vocab_file, monkeypatch):
    monkeypatch.setattr(chunks, "_MIN_CHUNK_BYTES", 20_000)
    rng = random.Random(0)
    for number in range(120):
        text = "\n".join(sentence(rng, 9) for _ in range(10)).encode()
        is_packed = number % 3 == 0
        (tmp_path / f"{number:03d}.txt{'.gz' if is_packed else ''}").write_bytes(
            gzip.compress(text) if is_packed else text
        )
    (tmp_path / "large.txt").write_text("\n\n".join(sentence(rng, 9) for _ in range(1000)))
    dataset = build_dataset(
        [f"{tmp_path}/*.txt*"], tiny_vocab_file, tmp_path / "out", num_workers=1
    )
    # 50 kB in small files and as much in a large one.
    assert 5 <= len(dataset["splits"]["train"]["files"]) <= 8
    assert [entry["name"] for entry in dataset["inputs"]] == sorted(
        path.name for path in tmp_path.glob("*.txt*")
    )
    assert sum(dataset["splits"][split]["documents"] for split in manifest.SPLITS) == 1120
    found = sum(
        (tokens_of(tmp_path / "out", dataset, split) for split in manifest.SPLITS),
        collections.Counter(),
    )
    assert found.total() == 120 * 90 + 9000 == dataset["dropped"]["tokens"]["of"]


@pytest.mark.slow
def test_small_files_give_the_same_bytes_for_any_number_of_workers(
    tmp_path, tiny_vocab_file, monkeypatch
):
    monkeypatch.setattr(chunks, "_MIN_CHUNK_BYTES", 20_000)
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text(sentence(random.Random(number), 200))
    for workers in (1, 2):
        build_dataset(
            [f"{tmp_path}/*.txt"], tiny_vocab_file, tmp_path / f"{workers}", num_workers=workers
        )
    one, two = (sorted((tmp_path / name).iterdir()) for name in "12")
    assert [path.name for path in one] == [path.name for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) > 8


@pytest.mark.parametrize("packing", manifest.PACKINGS)
def test_the_ends_of_long_documents_are_held_out(tmp_path, tiny_vocab_file, monkeypatch, packing):
    for module in (corpus, chunks):
        monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", 50_000)
    rng = random.Random(0)
    text = "\n".join(sentence(rng, 20) for _ in range(1500))  # one document, read as four
    (tmp_path / "a.txt").write_text(text)
    dataset = build_dataset(
        [str(tmp_path / "a.txt")],
        tiny_vocab_file,
        tmp_path / "out",
        eval_fraction=0.02,
        packing=packing,
        num_workers=1,
    )
    assert dataset["skipped"]["long_documents_cut"] >= 2
    train, held_out = (tokens_of(tmp_path / "out", dataset, split) for split in manifest.SPLITS)
    assert held_out.total() == pytest.approx(0.02 * 30_000, rel=0.02)
    assert dataset["eval_share"] == held_out.total() / 30_000
    words = tiny_vocab_file.read_text().split()
    assert train + held_out == collections.Counter(words.index(word) for word in text.split())


def test_long_words_are_counted_and_skipped(tmp_path, tiny_vocab_file, caplog):
    rng = random.Random(0)
    long = ["x" * 201, "y" * 5000]
    texts = [sentence(rng, 20) for _ in range(1000)] + [f"the {word} of" for word in long]
    (tmp_path / "a.txt").write_text("\n".join([*texts, "z" * 200]))
    dataset = build_dataset(
        [str(tmp_path / "a.txt")], tiny_vocab_file, tmp_path / "out", num_workers=1
    )
    assert dataset["skipped"]["long_words_unknown"] == 2
    characters = sum(len(word) for text in texts for word in text.split()) + 200
    assert dataset["dropped"]["long_word_characters"]["count"] == 5201
    assert dataset["dropped"]["long_word_characters"]["of"] == characters
    assert dataset["dropped"]["unknown_tokens"]["count"] == 2
    vocabulary = learn_vocab([str(tmp_path / "a.txt")], tmp_path / "v.txt", min_frequency=1)
    assert "2 words of more than 200 characters" in caplog.text
    learned = " ".join(vocabulary.tokens)
    assert "zz" in learned and "xx" not in learned and "yy" not in learned


def test_text_of_long_words_alone_is_refused(tmp_path, tiny_vocab_file):
    lines = ["".join(random.Random(n).choices("ACGT", k=5000)) for n in range(20)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    with pytest.raises(UserError, match="100,000 of 100,000 characters .*blanks between words"):
        build_dataset([str(tmp_path / "a.txt")], tiny_vocab_file, tmp_path / "o", num_workers=1)
    with pytest.raises(UserError, match="20 words of more than 200 characters.*blanks"):
        learn_vocab([str(tmp_path / "a.txt")], tmp_path / "v.txt")
