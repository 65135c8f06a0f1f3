"""What `--input` may name, what becomes of broken text, and where chunks are cut."""

import bz2
import gzip
import hashlib
import json
import lzma
from collections import Counter

import pytest

from electra_tf.text import chunks as chunking
from electra_tf.text import corpus
from electra_tf.text.docstrings import installed_documents, prose_paragraphs
from electra_tf.text.novels import NOVELS


def documents(path, problems=None, **settings):
    (source,) = corpus.find_sources([str(path)], **settings)
    return list(corpus.read_source(source, Counter() if problems is None else problems))


def test_blank_lines_separate_documents(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n\none\r\n  two \n \t \n\nthree")
    assert documents(path) == [[b"one", b"two"], [b"three"]]


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        b"\xef\xbb\xbf" + json.dumps({"body": "one\n\ntwo"}).encode(),
        b"",
        b"{broken",
        b'{"other": 1}',
        b'["body"]',
        b'{"body": " \\n "}',
        b'{"body": "half \\ud800 pair"}',
    ]
    path.write_bytes(b"\n".join(lines))
    problems = Counter()
    got = documents(path, problems, text_field="body")
    assert got == [[b"one", b"two"], [b"half  pair"]]
    assert problems == {
        "bad_json_lines_skipped": 1,
        "json_lines_without_text_skipped": 2,
        "empty_documents_skipped": 1,
        "invalid_utf8_lines_mended": 1,
    }


def test_invalid_utf8_is_mended_and_counted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nb\xffad\n\ncaf\xc3\xa9\n")
    problems = Counter()
    assert documents(path, problems) == [[b"good", b"bad"], [b"caf\xc3\xa9"]]
    assert problems["invalid_utf8_lines_mended"] == 1


@pytest.mark.parametrize(("suffix", "module"), [(".gz", gzip), (".xz", lzma), (".bz2", bz2)])
def test_compressed(tmp_path, suffix, module):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(module.compress(b"one\n\ntwo\n" * 500))
    assert documents(path) == [[b"one"], [b"two"] + [b"one"]] + [[b"two", b"one"]] * 498 + [
        [b"two"]
    ]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(ValueError, match=f"readable to its end.*a.txt{suffix}"):
        documents(path)


def test_find_sources(tmp_path):
    for name in ("b.txt", "a.txt", "c.jsonl.gz"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d.csv").write_bytes(b"x")
    sources = corpus.find_sources(
        [f"{tmp_path}/*.txt,{tmp_path}/c*", f"{tmp_path}/a.txt", "tfds:wiki40b/en:1.3.0:train"]
    )
    names = [source.name.rpartition("/")[2] for source in sources]
    assert names == ["a.txt", "b.txt", "c.jsonl.gz", "en:1.3.0:train"]
    assert [source.kind for source in sources] == ["txt", "txt", "jsonl", "tfds"]
    for bad, message in [
        ("", "at least one"),
        (f"{tmp_path}/*.xml", "match at least one file"),
        (f"{tmp_path}/d.csv", "d.csv"),
        (str(tmp_path), "must be .txt or .jsonl"),
    ]:
        with pytest.raises(ValueError, match=message):
            corpus.find_sources([bad])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["txt", "jsonl"])
def test_chunks_cover_every_document_once(tmp_path, kind, compressed):
    if kind == "txt":
        text = b"".join(b"doc %d\nline %s\n\n" % (i, b"y" * (i % 90)) for i in range(500))
    else:
        text = b"".join(b'{"text": "doc %d\\n%s"}\n' % (i, b"y" * (i % 90)) for i in range(500))
    path = tmp_path / f"a.{kind}{'.xz' if compressed else ''}"
    path.write_bytes(lzma.compress(text) if compressed else text)
    (source,) = corpus.find_sources([str(path)])
    whole = list(corpus.read_source(source, Counter()))
    assert len(whole) == 500
    for size in (1, 300, 5000, 10**6):
        spool = tmp_path / f"spool{size}"
        spool.mkdir()
        chunks = list(chunking.make_chunks(source, size, str(spool), Counter()))
        read = [d for chunk in chunks for d in chunking.read_chunk(chunk, Counter())]
        assert read == whole
        assert sum(chunk.end - chunk.start for chunk in chunks) == len(text)
        assert [chunk.part for chunk in chunks] == list(range(len(chunks)))
        assert max(chunk.end - chunk.start for chunk in chunks) < size + 400
        assert bool(list(spool.iterdir())) == compressed


def test_text_without_blank_lines_is_cut(tmp_path, monkeypatch):
    for module in (corpus, chunking):
        monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", 1000)
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(b"line %05d\n" % i for i in range(1000)) + b"z" * 5000)
    (source,) = corpus.find_sources([str(path)])
    problems = Counter()
    chunks = list(chunking.make_chunks(source, 2000, str(tmp_path), problems))
    got = [d for chunk in chunks for d in chunking.read_chunk(chunk, problems)]
    assert b"\n".join(line for d in got for line in d).startswith(b"line 00000\nline 00001")
    assert sum(len(line) for d in got for line in d) == 1000 * 10 + 5000
    assert max(sum(map(len, d)) for d in got) <= 2000
    assert max(chunk.end - chunk.start for chunk in chunks) <= 4000
    assert problems["long_documents_cut"] >= 10


def test_chunk_size_depends_on_the_input_only():
    def source(size, is_compressed=False):
        return corpus.Source(0, "a.txt", "txt", is_compressed, size)

    assert chunking.chunk_bytes([source(10)]) == 4 << 20
    assert chunking.chunk_bytes([source(16 << 30)]) == 64 << 20
    assert chunking.chunk_bytes([source(1 << 30, True)]) == 16 << 20


PROSE = "This is a sentence that one would like to keep, as it is made of words that are common."

DOCSTRING = f"""Does a thing.

{PROSE}
It goes on in :class:`~package.Thing` and in ``code``, which is the same paragraph.

  >>> the_thing(that_is, not_a_sentence, but_it, has, the_words, of_the, a, and_is, in_it) .

Args:
  name: {PROSE}

Example::

    {PROSE}

Parameters
----------
name : int
    {PROSE}

Notes
-----
In the notes there is a second paragraph, and that is also one of those to be kept for use.

Copyright of this is with the people who wrote it, and that is why it is not to be taken.
"""


def test_prose_of_docstrings():
    assert list(prose_paragraphs(DOCSTRING)) == [
        PROSE + " It goes on in package.Thing and in code, which is the same paragraph.",
        "In the notes there is a second paragraph, and that is also one of those to be kept for "
        "use.",
    ]


def test_installed_documents(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tests").mkdir()
    other = PROSE.replace("sentence", "comment")
    source = f'"""{PROSE}"""\n\ndef f():\n    """{PROSE}"""\n\n# {other[:60]}\n# {other[60:]}\n'
    (tmp_path / "b" / "m.py").write_text(source)
    (tmp_path / "b" / "broken.py").write_text('"""' + PROSE)
    (tmp_path / "b" / "tests" / "t.py").write_text(f'"""{PROSE} Not this."""\n')
    (tmp_path / "a.md").write_text(f"# Title\n\n{PROSE} Also.\n\n```\n{PROSE} Code.\n```\n")
    counts = Counter()
    got = list(installed_documents(counts, str(tmp_path)))
    assert got == [[PROSE + " Also."], [PROSE, other[:60] + " " + other[60:].strip()]]
    assert counts == {"files": 3, "paragraphs_kept": 3, "paragraphs_repeated": 1}


def test_novels():
    (source,) = corpus.find_sources(["docs:novels"])
    problems = Counter()
    documents = list(corpus.read_source(source, problems))
    assert len(documents) == 173 and not problems
    assert len(NOVELS) == 6
    assert all(line.strip() == line != b"" for document in documents for line in document)
    text = b"\n\n".join(b"\n".join(document) for document in documents)
    assert 2.9e6 < len(text) < 3e6 and b"Gutenberg" not in text
    # The quickstart's figures are of this text.
    assert hashlib.sha256(text).hexdigest()[:16] == "c750bd766412227b"
