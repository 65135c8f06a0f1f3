"""Corpora and vocabularies, as bytes to documents and tokens."""

from collections import Counter

import pytest
from damage import compressed, damaged, damaged_json_lines, read
from hypothesis import example, given
from hypothesis import strategies as st

from electra_tf.text import chunks, corpus
from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary

TEXT = b"""The first document.
It has two lines.

The second, \xc3\xa9t\xc3\xa9.

third
"""
DOCUMENTS = (
    {"text": "The first document.\nIt has two lines.", "url": "a"},
    {"text": "The second, été.", "id": 2},
    {"text": "third"},
)
TOKENS = [*SPECIAL_TOKENS, "the", "##s", "network", "été", "\u2028"]


def check_documents(folder, name: str, content: bytes, chunk_bytes: int) -> None:
    """Whole and in chunks the same documents, of lines in UTF-8."""
    path = folder / name
    path.write_bytes(content)

    def documents():
        (source,) = corpus.find_sources([str(path)])
        return source, list(corpus.read_source(source, Counter()))

    found = read(documents)
    if found is None:
        return
    source, whole = found
    for document in whole:
        assert document
        for line in document:
            line.decode()
    parts = [
        document
        for chunk in chunks.make_chunks(source, chunk_bytes, str(folder), Counter())
        for document in chunks.read_chunk(chunk, Counter())
    ]
    assert parts == whole


@given(content=damaged(TEXT), chunk_bytes=st.integers(1, 60))
def test_text(folder, content, chunk_bytes):
    check_documents(folder, "corpus.txt", content, chunk_bytes)


@given(content=damaged_json_lines(*DOCUMENTS), chunk_bytes=st.integers(1, 60))
def test_jsonl(folder, content, chunk_bytes):
    check_documents(folder, "corpus.jsonl", content, chunk_bytes)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
@given(data=st.data(), chunk_bytes=st.integers(1, 60))
def test_compressed_text(folder, suffix, data, chunk_bytes):
    content = data.draw(compressed(damaged(TEXT), suffix))
    check_documents(folder, f"corpus.txt{suffix}", content, chunk_bytes)


@given(content=damaged("\n".join(TOKENS).encode(), "\r\n".join([*TOKENS, ""]).encode()))
@example(content="\n".join([*TOKENS, "word\r\r", ""]).encode())
def test_vocabulary(folder, content):
    path = folder / "vocab.txt"
    path.write_bytes(content)
    vocabulary = read(Vocabulary.from_file, path)
    if vocabulary is None:
        return
    assert len(set(vocabulary.tokens)) == len(vocabulary) >= len(SPECIAL_TOKENS)
    assert [vocabulary[token] for token in vocabulary.tokens] == list(range(len(vocabulary)))
    vocabulary.save(folder / "copy")
    assert Vocabulary.from_file(folder / "copy" / "vocab.txt").tokens == vocabulary.tokens
