"""Spans and their F1 against seqeval, on sequences that keep to a scheme and on any others."""

import random

import pytest
from seqeval import metrics
from seqeval.scheme import IOB1, IOB2, IOBES

from electra_tf.tasks.tagging import spans
from electra_tf.tasks.tagging.spans import Span

TYPES = ("PER", "creative-work", "LOC")
SCHEME_OF_SEQEVAL = {"BIO": IOB2, "IOB1": IOB1, "BIOES": IOBES}


def random_tags(numbers, letters, types=TYPES):
    """Any tags in any order, `O` about as often as each letter."""
    length = numbers.randint(1, 12)
    tags = ["O"] + [f"{letter}-{type}" for letter in letters for type in types]
    weights = [len(types)] + [1] * (len(tags) - 1)
    return numbers.choices(tags, weights, k=length)


def random_spans(numbers, length):
    found, position = [], 0
    while position < length:
        size = min(numbers.randint(1, 4), length - position)
        if numbers.random() < 0.6:
            found.append(Span(numbers.choice(TYPES), position, position + size))
        position += size
    return found


def of_seqeval(gold, predicted, **more):
    return {
        name: getattr(metrics, f"{name}_score")(gold, predicted, zero_division=0, **more)
        for name in ("f1", "precision", "recall")
    }


@pytest.mark.parametrize("letters", ["BI", "BIES", "I"])
def test_scores_of_any_tags_are_seqevals(letters):
    numbers = random.Random(letters)
    for _ in range(1500):
        gold = [random_tags(numbers, letters) for _ in range(numbers.randint(1, 3))]
        predicted = [
            numbers.choices(random_tags(numbers, letters), k=len(tags))
            if numbers.random() < 0.5
            else [tag if numbers.random() < 0.7 else numbers.choice(tags) for tag in tags]
            for tags in gold
        ]
        assert spans.span_scores(gold, predicted) == pytest.approx(of_seqeval(gold, predicted))


@pytest.mark.parametrize("scheme", spans.SCHEMES)
def test_scores_of_tags_that_keep_to_their_scheme_are_seqevals_strict_ones(scheme):
    numbers = random.Random(scheme)
    for _ in range(1500):
        length = numbers.randint(1, 15)
        gold = random_spans(numbers, length)
        predicted = sorted(
            set(gold) - set(numbers.sample(gold, len(gold) // 2)), key=lambda span: span.start
        )
        if numbers.random() < 0.5:
            predicted = random_spans(numbers, length)
        pair = [[list(spans.tags_of(found, length, scheme))] for found in (gold, predicted)]
        theirs = of_seqeval(*pair, mode="strict", scheme=SCHEME_OF_SEQEVAL[scheme])
        assert spans.span_scores(*pair) == pytest.approx(theirs)


@pytest.mark.parametrize("scheme", spans.SCHEMES)
def test_spans_survive_their_tags(scheme):
    numbers = random.Random(scheme)
    for _ in range(1000):
        length = numbers.randint(0, 15)
        found = random_spans(numbers, length)
        tags = spans.tags_of(found, length, scheme)
        assert spans.spans_of(tags) == found
        assert len(tags) == length


@pytest.mark.parametrize(
    "scheme, tags",
    [
        ("BIO", "O B-A B-A I-A B-B O I-A"),
        ("IOB1", "O I-A B-A I-A I-B O I-A"),
        ("BIOES", "O S-A B-A E-A S-B O B-C I-C E-C"),
        ("BIO", "B I O B B"),
    ],
)
def test_a_scheme_is_recognised(scheme, tags):
    assert spans.recognise([tags.split()]) == scheme


def test_tags_without_types():
    assert spans.spans_of("B I O B B I".split()) == [("", 0, 2), ("", 3, 4), ("", 4, 6)]
    assert spans.tags_of([Span("", 1, 3)], 4, "BIOES") == ("O", "B", "E", "O")


def test_what_is_a_span_tag():
    assert all(map(spans.is_span_tag, ["O", "B", "S-x", "I-creative-work"]))
    assert not any(map(spans.is_span_tag, ["NN", "B-", "BB", "U-PER", "O-PER", "", "b-PER"]))


def test_no_spans_score_zero():
    assert spans.span_scores([["O", "O"]], [["O", "O"]]) == {"f1": 0, "precision": 0, "recall": 0}
