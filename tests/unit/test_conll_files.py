"""Files of tagged words: the real ones, the odd lines, and what the errors say."""

import gzip
import json

import pytest

from electra_tf.tasks.tagging import files as conll_files
from electra_tf.tasks.tagging.files import Fields, TaggedSentences
from electra_tf.tasks.tagging.task import TaggingTask
from tests.conftest import REFERENCE, SHARED, where_shared


@pytest.fixture
def file_of(tmp_path):
    def write(text, name="train.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def read(path, labelled=True, **layout):
    return conll_files.read_sentences(path, Fields(**layout), labelled)


@pytest.mark.parametrize(
    "path, num_sentences, num_tokens",
    [
        (REFERENCE / "wnut17" / "train.conll.gz", 3394, 62730),
        (REFERENCE / "wnut17" / "dev.conll.gz", 1009, 15733),
        (REFERENCE / "wnut17" / "test.conll.gz", 1287, 23394),
        (REFERENCE / "chunks.txt", 8, 94),
        *where_shared(
            (SHARED / "data" / "conll" / "conll2000" / "train.txt.gz", 8936, 211727),
            (SHARED / "data" / "conll" / "conll2000" / "test.txt", 2012, 47377),
        ),
    ],
)
def test_real_files(path, num_sentences, num_tokens):
    sentences = read(str(path))
    assert len(sentences) == len(sentences.tags) == num_sentences
    assert sum(map(len, sentences.words)) == sum(map(len, sentences.tags)) == num_tokens


def test_odd_lines(file_of):
    text = (
        "\ufeff-DOCSTART- -X- O\n\n\n# id = 1\nA  DT\tB-X \r\n# NN I-X\n#tag NN O\n   \n"
        "no\u00a0break NN O\n#\tlink\na\u2028b NN O\n-DOCSTART-\nend\x85 NN S-X"
    )
    sentences = read(file_of(text))
    assert sentences.words == [("A", "#", "#tag"), ("no\u00a0break", "a\u2028b"), ("end\x85",)]
    assert sentences.tags == [("B-X", "I-X", "O"), ("O", "O"), ("S-X",)]
    assert sentences.tag_lines == {"B-X": 5, "I-X": 6, "O": 7, "S-X": 13}


def test_a_file_of_number_signs_only(file_of):
    assert read(file_of("# O\n# O\n\n# B\n")).words == [("#", "#"), ("#",)]


def test_columns_are_chosen(file_of):
    sentences = read(file_of("1 a DT B-X\n2 b NN I-X\n"), word_column=1, tag_column=-2)
    assert (sentences.words, sentences.tags) == ([("a", "b")], [("DT", "NN")])


def test_json_lines(file_of):
    text = (
        '{"tokens": ["New York", "is"], "ner": ["S-LOC", "O"]}\n\n'
        '{"text": " to\\u00a0be  ", "ner": ["O", "S-LOC"]}\n'
    )
    path = file_of(gzip.compress(text.encode()), "train.jsonl.gz")
    sentences = read(path, words_field="tokens", tags_field="ner")
    assert sentences.words == [("New York", "is"), ("to", "be")]
    assert sentences.tags == [("S-LOC", "O"), ("O", "S-LOC")]
    assert sentences.tag_lines == {"S-LOC": 1, "O": 1}
    assert read(path, labelled=False, words_field="tokens").tags is None


@pytest.mark.parametrize(
    "name, text, message",
    [
        (
            "a.txt",
            "a B\nb\n",
            r"as many columns as the file's first, 2\. Received: 1 in .*, line 2",
        ),
        ("a.txt", "\n\n", r"at least one word\. Received: .*a\.txt"),
        ("a.txt", "word\n", "word_column and tag_column must be two columns"),
        ("a.txt", b"a B\n\xff B\n", "UTF-8.*a.txt, line 2"),
        ("a.txt.gz", b"no gzip", r"readable.*a\.txt\.gz"),
        (
            "a.jsonl",
            '{"words": ["a"], "tags": ["O"]}\n{"words"\n',
            r"JSON object.*a\.jsonl, line 2",
        ),
        ("a.jsonl", "[1]\n", r"JSON object\. Received: \[1\] in .*line 1"),
        (
            "a.jsonl",
            '{"words": "a b", "tags": ["O"]}\n',
            "'words' must be a list of strings.*line 1",
        ),
        ("a.jsonl", '\n{"words": ["a"]}\n', "'tags' must be a list of strings.*null.*line 2"),
        ("a.jsonl", '{"words": ["a"], "tags": []}', r"as words, 1\. Received: 0 in .*line 1"),
        ("a.jsonl", '{"words": ["\\ud83d"], "tags": ["O"]}', "valid Unicode.*line 1"),
        ("a.jsonl", "", "at least one word"),
        ("a.jsonl", '{"words": [], "tags": []}', "at least one word"),
        ("a.txt", "a \ufeff", r"tag must not be empty\. Received: '\\ufeff' in .*a\.txt, line 1"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(file_of, name, text, message):
    with pytest.raises(ValueError, match=message):
        read(file_of(text, name))


def test_a_column_that_is_not_there(file_of):
    path = file_of("a B\n")
    with pytest.raises(ValueError, match=r"tag_column must be .*of 2\. Received: 2 for"):
        read(path, tag_column=2)


def test_files_are_found_by_their_usual_names(file_of, tmp_path):
    stems = ("dev", "valid", "testa")
    assert conll_files.find_tagged_file(str(tmp_path), "", stems) is None
    last = file_of("a B\n", "testa.bio")
    assert conll_files.find_tagged_file(str(tmp_path), "", stems) == last
    packed = file_of("a B\n", "dev.conll.gz")
    assert conll_files.find_tagged_file(str(tmp_path), "", stems) == packed
    assert conll_files.find_tagged_file(str(tmp_path), "dev.conll", stems) == packed
    with pytest.raises(ValueError, match="A file of tagged words must be one of other.txt"):
        conll_files.find_tagged_file(str(tmp_path), "other.txt", stems)


def test_what_is_written_can_be_read(tmp_path):
    words = [("a", "\U0001f600"), ("b",)]
    tags = [("B-X", "I-X"), ("O",)]
    columns, lines = str(tmp_path / "p.txt"), str(tmp_path / "p.jsonl")
    conll_files.write_columns(columns, words, tags)
    task = TaggingTask("x", "", tags=("B-X", "I-X", "O"))
    task.write_file(TaggedSentences(columns, words, None, {}), tags, lines)
    for path in (columns, lines):
        sentences = read(path)
        assert (sentences.words, sentences.tags) == (words, tags)
    with open(lines, encoding="utf-8") as file:
        assert json.loads(file.readline())["spans"] == [{"type": "X", "start": 0, "end": 2}]
