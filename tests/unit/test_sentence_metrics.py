"""Metrics of sentence tasks, by hand and against counts and formulas in NumPy."""

import warnings

import numpy as np
import pytest

from electra_tf.tasks.sentence import metrics as sentence_metrics


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def f1_of(labels, predictions):
    right = np.sum((labels == 1) & (predictions == 1))
    either = np.sum(labels == 1) + np.sum(predictions == 1)
    return 2 * right / either if either else 0.0


def ranks(values):
    """Average ranks: how many are less, and half of those that are equal."""
    less = (values[None, :] < values[:, None]).sum(1)
    equal = (values[None, :] == values[:, None]).sum(1)
    return less + (equal + 1) / 2


def correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def score(name, labels, predictions):
    return sentence_metrics.score((name,), np.array(labels), np.array(predictions))[name]


def test_by_hand():
    labels, predictions = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0]
    assert score("accuracy", labels, predictions) == 0.75
    assert score("f1", labels, predictions) == pytest.approx(2 / 3)
    # (2 * 4 - 1 * 1) / sqrt(3 * 3 * 5 * 5)
    assert score("matthews", labels, predictions) == pytest.approx(7 / 15)
    assert score("macro_f1", labels, predictions) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert score("macro_f1", [0, 0, 2], [0, 3, 2]) == pytest.approx((2 / 3 + 1 + 0) / 3)
    several, said = [[1, 0, 0], [1, 1, 0], [0, 0, 0]], [[1, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert score("exact_match", several, said) == pytest.approx(2 / 3)
    assert score("micro_f1", several, said) == pytest.approx(2 / 3)
    assert score("macro_f1", several, said) == pytest.approx(1 / 3)
    assert score("spearman", [1.0, 2.0, 3.0], [-1.0, 0.0, 100.0]) == pytest.approx(1)
    assert score("pearson", [1.0, 2.0, 3.0], [2.0, 0.0, -2.0]) == pytest.approx(-1)
    assert score("mse", [1.0, 2.0], [2.0, 4.0]) == 2.5


@pytest.mark.parametrize("seed", range(3))
def test_against_counts_and_formulas(seed):
    random = np.random.default_rng(seed)
    labels, predictions = random.integers(0, 2, (2, 200))
    assert score("f1", labels, predictions) == pytest.approx(f1_of(labels, predictions))
    assert score("matthews", labels, predictions) == pytest.approx(correlation(labels, predictions))
    several, said = random.integers(0, 2, (2, 50, 4))
    assert score("micro_f1", several, said) == pytest.approx(f1_of(several, said))
    assert score("macro_f1", several, said) == pytest.approx(
        np.mean([f1_of(several[:, column], said[:, column]) for column in range(4)])
    )
    classes, guesses = random.integers(0, 5, (2, 200))
    assert score("macro_f1", classes, guesses) == pytest.approx(
        np.mean([f1_of(classes == number, guesses == number) for number in range(5)])
    )
    numbers = random.integers(0, 20, 100).astype(np.float32)  # with ties
    scores = (numbers + random.normal(0, 5, 100)).astype(np.float32)
    assert score("spearman", numbers, scores) == pytest.approx(
        correlation(ranks(numbers), ranks(scores))
    )
    assert score("pearson", numbers, scores) == pytest.approx(
        correlation(numbers.astype(float), scores.astype(float))
    )


def test_small_differences_count():
    labels = np.arange(5, dtype=np.float32)
    predictions = (1000 + labels / 1024).astype(np.float32)
    assert score("pearson", labels, predictions) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("labels", [[0, 1, 1], [1, 1, 1], [0, 0, 0]])
def test_one_prediction_for_all_correlates_with_nothing(labels):
    for constant in (0, 1):
        assert score("matthews", labels, [constant] * 3) == 0.0
        assert score("pearson", np.array(labels, float), np.full(3, constant, float)) == 0.0
        assert score("spearman", np.array(labels, float), np.full(3, constant, float)) == 0.0
        assert score("spearman", np.full(3, constant, float), np.arange(3.0)) == 0.0
    assert score("f1", labels, [0, 0, 0]) == 0.0


def test_order_of_names_is_kept():
    scores = sentence_metrics.score(("f1", "accuracy"), np.array([1, 0]), np.array([1, 1]))
    assert list(scores.items()) == [("f1", pytest.approx(2 / 3)), ("accuracy", 0.5)]
