"""Files of fine-tuning tasks, as bytes to rows: tables, tagged words, questions, clients' texts."""

import copy
import gzip
import json
import tracemalloc

import pytest
from damage import can_be_written, compressed, damaged, damaged_json, damaged_json_lines, read
from hypothesis import example, given
from hypothesis import strategies as st

from electra_tf.serving.client import inputs
from electra_tf.tasks.readers import tables
from electra_tf.tasks.sentence.examples import Gathering, read_table
from electra_tf.tasks.squad.files import read_questions
from electra_tf.tasks.tagging.files import Fields, read_sentences

CSV = b'id,text,label\r\n1,"a small, ""large"" text",neg\n2,the network,pos\n\n3,"two\nlines",pos\n'
TSV = b"id\ttext\tlabel\n1\ta small text\tneg\n2\tthe network\tpos\n\n3\t\t1.0\n"
ROWS = (
    {"id": "1", "text": "a small text", "label": "neg"},
    {"id": 2, "text": "the network", "label": 1},
    {"id": 3, "text": "", "label": ["pos", "neg"]},
)
COLUMNS = b"""# text = of ten words
-DOCSTART- -X- -X- O

The DT O
network NN B-NET

# DT O
of IN I-NET
"""
SENTENCES = (
    {"words": ["The", "network"], "tags": ["O", "B-NET"]},
    {"words": [], "tags": []},
    {"text": "of  ten words", "tags": ["O", "O", "O"]},
)
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Networks",
            "paragraphs": [
                {
                    "context": "A small network of words.",
                    "qas": [
                        {
                            "id": "a",
                            "question": "What?",
                            "answers": [{"text": "network", "answer_start": 8}],
                            "is_impossible": False,
                        },
                        {"id": "b", "question": "Why?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
MRQA = (
    {"header": {"dataset": "made", "split": "dev"}},
    {
        "context": "A small network of words.",
        "qas": [
            {
                "qid": "a",
                "question": "What?",
                "answers": ["network"],
                "detected_answers": [{"text": "network", "char_spans": [[8, 14]]}],
            }
        ],
    },
)

DEEP = b"[" * 100_000


def write(folder, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def check_rows(path: str) -> None:
    rows = read(lambda: list(tables.rows(path, ("id", "text"))))
    for row in rows or ():
        assert len(row.values) == 2 and row.line >= 1
        assert can_be_written(*(value for value in row.values if isinstance(value, str)))


@given(content=damaged(CSV))
def test_csv(folder, content):
    check_rows(write(folder, "train.csv", content))


@given(content=damaged(TSV))
def test_tsv(folder, content):
    check_rows(write(folder, "train.tsv", content))


@given(content=damaged_json_lines(*ROWS))
def test_jsonl(folder, content):
    check_rows(write(folder, "train.jsonl", content))


@given(content=compressed(damaged(CSV), ".gz"))
def test_compressed_table(folder, content):
    check_rows(write(folder, "train.csv.gz", content))


@given(content=damaged_json_lines(*ROWS))
def test_sentences_without_labels(folder, content):
    path = write(folder, "new.jsonl", content)
    sentences = read(read_table, path, Gathering(path, 1), ("text",), "id")
    if sentences is not None:
        assert len(sentences.ids) == len(sentences.texts) > 0
        names = [name for name in sentences.ids if isinstance(name, str)]
        assert can_be_written(*sentences.texts, *names)


def check_sentences(path: str, labelled: bool) -> None:
    sentences = read(read_sentences, path, Fields(), labelled)
    if sentences is None:
        return
    assert len(sentences) > 0
    for words in sentences.words:
        assert can_be_written(*words)
    if labelled:
        for words, tags in zip(sentences.words, sentences.required_tags, strict=True):
            assert len(words) == len(tags)
            assert can_be_written(*tags)
        assert sentences.tag_lines.keys() == {tag for tags in sentences.tags for tag in tags}


@given(content=damaged(COLUMNS), labelled=st.booleans())
def test_tagged_columns(folder, content, labelled):
    check_sentences(write(folder, "train.txt", content), labelled)


@given(content=damaged_json_lines(*SENTENCES), labelled=st.booleans())
def test_tagged_json_lines(folder, content, labelled):
    check_sentences(write(folder, "train.jsonl", content), labelled)


def check_questions(path: str, version: int) -> None:
    questions = read(read_questions, path, version)
    if questions is None:
        return
    ids = [question.id for question in questions.questions]
    assert len(set(ids)) == len(ids)
    for question in questions.questions:
        assert 0 <= question.context < len(questions.contexts)
        if question.target is not None:
            text, start = question.target
            assert isinstance(text, str) and isinstance(start, int)


@given(content=damaged_json(SQUAD), version=st.sampled_from((1, 2)))
@example(content=DEEP, version=2)
def test_squad(folder, content, version):
    check_questions(write(folder, "dev.json", content), version)


def mrqa_with(**fields) -> bytes:
    """A line whose question has other fields."""
    record = copy.deepcopy(MRQA[1])
    record["qas"][0] |= fields
    return json.dumps(record).encode()


@given(content=damaged_json_lines(*MRQA), version=st.sampled_from((1, 2)))
@example(content=mrqa_with(detected_answers=0), version=2)
@example(content=mrqa_with(detected_answers=[{"text": "", "char_spans": [" "]}]), version=2)
@example(content=mrqa_with(detected_answers=[{"text": "", "char_spans": [{}]}]), version=2)
@example(content=mrqa_with(detected_answers=[{"text": "", "char_spans": [[1e999]]}]), version=2)
@example(content=DEEP, version=2)
def test_mrqa(folder, content, version):
    check_questions(write(folder, "dev.jsonl", content), version)


@given(content=compressed(damaged_json(SQUAD), ".gz"))
def test_compressed_squad(folder, content):
    check_questions(write(folder, "dev.json.gz", content), 2)


@pytest.mark.parametrize("fields", [["text"], ["question", "context"]], ids=" ".join)
@given(content=damaged(b"a small text\n\nwhat?\ta context\nthe network\n"))
def test_texts_of_a_client(folder, content, fields):
    texts = read(inputs.texts_of_file, write(folder, "texts.txt", content), fields)
    if texts is not None:
        assert list(texts) == fields
        assert len({len(each) for each in texts.values()}) == 1
        assert can_be_written(*(text for each in texts.values() for text in each))


def test_a_table_is_read_by_lines(folder):
    """Compressed it is small, unpacked 8 MiB, of which a reader holds little at a time."""
    path = folder / "bomb.tsv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"id\ttext\n" + (b"1\t" + b"x" * 1021 + b"\n") * (8 << 10))
    tracemalloc.start()
    try:
        assert sum(1 for _ in tables.rows(str(path), ("id", "text"))) == 8 << 10
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
