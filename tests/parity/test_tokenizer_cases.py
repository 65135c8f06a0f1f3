"""The tokenizer against the answers of BERT's reference implementation.

The answers were made with Python's Unicode 11 tables. TensorFlow's are newer, so characters that
were assigned since then are letters, marks or symbols to us and unassigned (removed) there.
"""

import json

import pytest

from electra_tf import Tokenizer
from tests.conftest import read_lines, shipped_and_whole

NUM_TRICKY = 64  # the first; then lines of Wikipedia
NUM_RANDOM = 500  # the last

# Those characters among the random ones, with the version of Unicode that added them.
ADDED_AFTER_UNICODE_11 = {
    "\u0870": 14,
    "\u0880": 14,
    "\u088c": 14,
    "\u08c2": 14,
    "\u0ea9": 12,
    "\u1b7e": 14,
    "\u2e52": 13,
    "\u2e54": 14,
    "\u9ff7": 13,
    "\U00018d02": 13,
    "\U0001fa78": 12,
    "\U0001fad4": 13,
}


@pytest.fixture(scope="module")
def tokenizer(uncased_vocab_file):
    return Tokenizer(uncased_vocab_file)


@pytest.fixture(
    scope="module",
    params=shipped_and_whole("tokenizer_cases.jsonl.xz", "parity/tokenizer_cases.jsonl.xz"),
)
def cases(request):
    return [json.loads(line) for line in read_lines(request.param)]


def differences(tokenizer, cases):
    got = tokenizer.tokenize([case["text"] for case in cases])
    return [case["text"] for case, ids in zip(cases, got, strict=True) if ids != case["ids"]]


def test_tricky_texts(tokenizer, cases):
    assert differences(tokenizer, cases[:NUM_TRICKY]) == []


def test_wikipedia(tokenizer, cases):
    lines = cases[NUM_TRICKY:-NUM_RANDOM]
    assert len(lines) in (122, 3000)
    assert differences(tokenizer, lines) == []


def test_random_unicode(tokenizer, cases):
    cases = cases[-NUM_RANDOM:]
    assert len(differences(tokenizer, cases)) <= len(ADDED_AFTER_UNICODE_11)
    for case in cases:
        for character in ADDED_AFTER_UNICODE_11:
            case["text"] = case["text"].replace(character, "")
    assert differences(tokenizer, cases) == []


def test_offsets_do_not_change_the_ids(tokenizer, cases):
    texts = [case["text"] for case in cases[: NUM_TRICKY + 300] + cases[-NUM_RANDOM:]]
    ids, starts, ends = tokenizer.ids_with_offsets(texts)
    assert ids.to_list() == tokenizer.tokenize(texts)
    assert ids.row_lengths().numpy().tolist() == starts.row_lengths().numpy().tolist()
    for text, row_starts, row_ends in zip(texts, starts.to_list(), ends.to_list(), strict=True):
        text = text.encode()
        assert all(text[s:e].decode().strip() for s, e in zip(row_starts, row_ends, strict=True))
