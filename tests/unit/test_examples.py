"""Documents to examples: the original's choices, nothing lost, nothing padded that need not be."""

import random

import numpy as np
import pytest

from electra_tf.data.records import serialize_examples
from electra_tf.text.examples import DocumentPacker, PairBuilder, pad_examples
from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary

VOCABULARY = Vocabulary(SPECIAL_TOKENS)
CLS, SEP = VOCABULARY.cls_id, VOCABULARY.sep_id
L = 32


def random_documents(seed, num_documents=300, longest_line=25):
    """Documents whose tokens count up from 10, so that every token can be found again."""
    rng = np.random.default_rng(seed)
    token = 10
    documents = []
    for _ in range(num_documents):
        lines = []
        for length in rng.integers(0, longest_line, rng.integers(1, 20)):
            lines.append(np.arange(token, token + length, dtype=np.int32))
            token += length
        documents.append(lines)
    return documents


def build(builder, documents):
    examples = [example for lines in documents for example in builder.add_document(lines)]
    return examples + list(builder.finish())


def naive_pairs(documents, length, rng):
    """The original's procedure for one document after the other, with plain lists."""
    target = length
    for lines in documents:
        queue, gathered = [line.tolist() for line in lines], []
        while queue or any(gathered):
            if queue:
                gathered.append(queue.pop(0))
                if sum(map(len, gathered)) < target and queue:
                    continue
            if not any(gathered):
                continue
            aim = 10**6 if rng.random() < 0.1 else (target - 3) // 2
            a, b = [], []
            for line in gathered:
                fits = not a or len(a) + len(line) < aim
                if fits or (not b and len(a) < aim and rng.random() < 0.5):
                    a += line
                else:
                    b += line
            a = a[: length - 2]
            b = b[: max(0, length - len(a) - 3)]
            gathered = []
            target = rng.randint(5, length) if rng.random() < 0.05 else length
            yield [CLS, *a, SEP] + ([*b, SEP] if b else []), len(a) + 2


def test_same_as_naive_implementation():
    documents = random_documents(1)
    examples = build(PairBuilder(VOCABULARY, L, random.Random(7)), documents)
    expected = list(naive_pairs(documents, L, random.Random(7)))
    assert len(examples) == len(expected) > 1000
    for example, (ids, first_length) in zip(examples, expected, strict=True):
        assert example.input_ids.tolist() == ids
        assert example.segment_ids.tolist() == [int(i >= first_length) for i in range(len(ids))]


def test_distribution():
    """Fractions over many examples made of lines of three tokens, which can always be dealt."""
    documents = [[np.full(3, 9, np.int32)] * 20000]
    examples = build(PairBuilder(VOCABULARY, 128, random.Random(0)), documents)[:-1]
    lengths = np.array([len(example.input_ids) for example in examples])
    single = np.array([not example.segment_ids.any() for example in examples])
    assert abs(single.mean() - 0.1) < 0.04
    # Full examples take lines until they reach the target, which leaves a few tokens over.
    short = lengths < 120
    assert abs(short.mean() - 0.05) < 0.03
    assert lengths.max() == 128
    first = np.array([(example.segment_ids == 0).sum() for example in examples])
    assert abs(first[~short & ~single].mean() - 64) < 3


def test_overflowing_line_goes_to_either_segment():
    documents = [[np.full(50, 9, np.int32), np.full(50, 8, np.int32), np.full(50, 7, np.int32)]]
    both = set()
    for seed in range(200):
        (example,) = build(PairBuilder(VOCABULARY, 128, random.Random(seed)), documents)
        both.add(int((example.segment_ids == 0).sum()))
    # One segment of 150 cut to 126, or a first segment of one or of two lines.
    assert both == {128, 52, 102}


def test_leftovers_are_dropped_or_kept():
    documents = random_documents(2, longest_line=90)
    num_tokens = sum(len(line) for lines in documents for line in lines)

    def found(keep_leftovers):
        builder = PairBuilder(VOCABULARY, L, random.Random(3), keep_leftovers)
        ids = np.concatenate([example.input_ids for example in build(builder, documents)])
        return ids[ids >= 10]

    assert len(found(False)) < 0.8 * num_tokens
    kept = found(True)
    assert sorted(kept.tolist()) == list(range(10, 10 + num_tokens))


def test_examples_do_not_cross_documents():
    documents = random_documents(4)
    owner = {int(t): i for i, lines in enumerate(documents) for line in lines for t in line}
    for keep_leftovers in (False, True):
        builder = PairBuilder(VOCABULARY, L, random.Random(5), keep_leftovers)
        for example in build(builder, documents):
            assert len({owner[t] for t in example.input_ids.tolist() if t >= 10}) == 1


@pytest.mark.parametrize("seq_length", [8, 32, 128])
def test_packing_fills_every_example(seq_length):
    documents = random_documents(6)
    examples = build(DocumentPacker(VOCABULARY, seq_length), documents)
    assert {len(example.input_ids) for example in examples[:-1]} == {seq_length}
    tokens = []
    for example in examples:
        numbers = example.document_ids
        assert numbers[0] == 1 and set(np.diff(numbers).tolist()) <= {0, 1}
        for number in range(1, numbers[-1] + 1):
            piece = example.input_ids[numbers == number].tolist()
            assert piece[0] == CLS and piece[-1] == SEP
            body = [t for t in piece if t >= 10]
            assert body and piece == [CLS, *body] + [SEP] * (len(piece) - len(body) - 1)
            assert len(piece) - len(body) <= 4
            tokens += body
    assert tokens == [int(t) for lines in documents for line in lines for t in line]


def test_padding_and_wire_format():
    tf = pytest.importorskip("tensorflow")
    examples = build(DocumentPacker(VOCABULARY, L), random_documents(8, num_documents=40))
    arrays = pad_examples(examples, L, VOCABULARY.pad_id, with_document_ids=True)
    arrays["input_ids"][0, :6] = [0, 127, 128, 16383, 16384, 2**28 - 1]
    assert arrays["input_mask"].sum() == sum(len(example.input_ids) for example in examples)
    assert not arrays["document_ids"][arrays["input_mask"] == 0].any()
    records = serialize_examples(arrays)
    assert len(records) == len(examples)
    for i, record in enumerate(records):
        features = tf.train.Example.FromString(record).features.feature
        assert set(features) == set(arrays)
        for name, array in arrays.items():
            assert list(features[name].int64_list.value) == array[i].tolist()
    spec = {name: tf.io.FixedLenFeature([L], tf.int64) for name in arrays}
    for name, value in tf.io.parse_example(records, spec).items():
        np.testing.assert_array_equal(value, arrays[name])


def test_refuses_what_the_format_cannot_hold():
    with pytest.raises(ValueError, match="from 0 to 2"):
        serialize_examples({"input_ids": np.array([[-1]])})
