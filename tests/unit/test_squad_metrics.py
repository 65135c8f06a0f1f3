"""Exact match, F1 and thresholds, against values by hand and against trying every threshold."""

import collections

import numpy as np
import pytest

from electra_tf.tasks.squad import metrics as squad_metrics


@pytest.mark.parametrize(
    "gold, predicted, exact, f1",
    [
        ("Denver Broncos", "The Denver Broncos!", 1, 1),
        ("a cat", "cat", 1, 1),
        ("U.S.A.", "usa", 1, 1),
        ("10,000", "10000", 1, 1),
        ("Saint  Bernadette\tSoubirous", "saint bernadette soubirous", 1, 1),
        ("in the 10th century", "10th century", 0, 2 * (2 / 2) * (2 / 3) / (2 / 2 + 2 / 3)),
        ("red red blue", "red", 0, 2 * 1 * (1 / 3) / (1 + 1 / 3)),
        ("one", "two", 0, 0),
        ("theatre", "atre", 0, 0),  # articles are whole words
        ("café", "CAFÉ", 1, 1),
        ("cafe", "café", 0, 0),  # accents stay
        ("«Zürich»", "Zürich", 0, 0),  # only ASCII punctuation goes
        ("well-known fact", "wellknown fact", 1, 1),
        ("an-other", "another", 1, 1),  # punctuation goes before articles do
    ],
)
def test_pairs(gold, predicted, exact, f1):
    assert squad_metrics.exact_match(gold, predicted) == exact
    for empty_agrees in (False, True):
        assert squad_metrics.f1(gold, predicted, empty_agrees) == pytest.approx(f1)


def test_the_best_gold_answer_counts():
    golds = [["seven", "seven days a week", "7"], ["alpha"]]
    assert squad_metrics.evaluate(golds, ["days a week", "alpha"]) == pytest.approx(
        {"f1": ((2 * 1 * 2 / 3) / (1 + 2 / 3) + 1) / 2, "exact_match": 0.5}
    )


def test_no_answer_and_answers_that_are_nothing_but_articles():
    # Version 1: exact match compares normal forms, F1 needs a common word.
    assert squad_metrics.evaluate([["The"]], [""]) == {"f1": 0.0, "exact_match": 1.0}
    # Version 2: such a gold answer is dropped, and with none left "" is right.
    for golds in ([], ["The"], ["...", "a"]):
        for predicted, right in (("", 1.0), ("the", 1.0), ("word", 0.0)):
            exact, f1 = squad_metrics.score_answers([golds], [predicted], version=2)
            assert (exact[0], f1[0]) == (right, right)
    exact, f1 = squad_metrics.score_answers([["The", "word"]], [""], version=2)
    assert (exact[0], f1[0]) == (0.0, 0.0)


def random_case(seed, wordless, size=60):
    """Gold answers, predictions (some without any word, if `wordless`) and null odds."""
    random = np.random.default_rng(seed)
    words = ["north", "south", "the", "Old", "sea,", "river"]

    def text():
        return " ".join(random.choice(words, random.integers(1, 4)))

    golds = [
        [text() for _ in range(random.integers(1, 4))] if random.random() < 0.6 else []
        for _ in range(size)
    ]
    predicted = [
        text() + " island" if not wordless else text() if random.random() < 0.9 else ""
        for _ in range(size)
    ]
    return golds, predicted, random.normal(0, 3, size)


def reference_f1(gold, predicted):
    def words(text):
        kept = "".join(letter for letter in text.lower() if letter != ",")
        return [word for word in kept.split() if word != "the"]

    gold, predicted = words(gold), words(predicted)
    if not gold or not predicted:
        return float(gold == predicted)
    counts = collections.Counter(predicted)
    common = sum(min(gold.count(word), number) for word, number in counts.items())
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(gold)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("wordless", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_version_2_against_every_threshold(seed, wordless):
    golds, predicted, odds = random_case(seed, wordless)
    metrics, thresholds = squad_metrics.evaluate_with_unanswerable(golds, predicted, odds, 0.5)
    # "The" alone is no answer, and a question that has nothing else has none.
    kept = [
        [answer for answer in answers if set(answer.lower().split()) != {"the"}]
        for answers in golds
    ]

    def mean_f1(threshold, members):
        total = 0.0
        for index in members:
            if odds[index] > threshold:
                total += not golds[index]
            else:
                total += max(reference_f1(gold, predicted[index]) for gold in kept[index] or [""])
        return total / len(members)

    everyone = range(len(golds))
    assert metrics["f1"] == pytest.approx(mean_f1(0.5, everyone))
    for name, wanted in (("has_answer_f1", True), ("no_answer_f1", False)):
        members = [index for index, answers in enumerate(golds) if bool(answers) is wanted]
        assert metrics[name] == pytest.approx(mean_f1(0.5, members))
    tried = {threshold: mean_f1(threshold, everyone) for threshold in [-np.inf, *odds]}
    if wordless:
        # The official search counts "the" as an answer, which a question without answer then
        # loses a point by; the official score takes it for no answer.
        assert metrics["best_f1"] <= max(tried.values()) + 1e-9
    else:
        assert metrics["best_f1"] == pytest.approx(max(tried.values()))
        assert mean_f1(thresholds["best_f1"], everyone) == pytest.approx(metrics["best_f1"])


def test_best_threshold_by_hand():
    scores = np.array([1.0, 0.5, 0.0, 0.0])
    has_answer = np.array([True, True, False, False])
    answered = np.zeros(4, bool)
    odds = np.array([-3.0, 1.0, 0.0, 2.0])
    # Answering only the surest: 1 + the two questions without answer. One more loses a point.
    assert squad_metrics.best_threshold(scores, odds, has_answer, answered) == (3 / 4, -3.0)
    # At the threshold itself a question is answered.
    assert squad_metrics.with_threshold(scores, odds, has_answer, 1.0).tolist() == [1, 0.5, 0, 1]
    # An empty answer to a question without answer costs nothing.
    assert squad_metrics.best_threshold(scores, odds, has_answer, ~has_answer) == (3.5 / 4, 1.0)
    # Nothing should be answered: the threshold is below all odds, whatever they are.
    best, threshold = squad_metrics.best_threshold(0 * scores, odds - 10, has_answer, answered)
    assert best == 0.5 and threshold < odds.min() - 10
