"""How good predicted labels and numbers are; every figure is a fraction, not per cent."""

import numpy as np
from scipy import stats
from sklearn import metrics


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of equal entries; of [N, C] arrays the share of rows that are equal throughout."""
    equal = labels == predictions
    return float(np.mean(equal.all(axis=-1) if equal.ndim > 1 else equal))


def matthews(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Matthews correlation of int [N] classes; 0 if either side has one class only."""
    if _is_constant(labels) or _is_constant(predictions):
        return 0.0
    return float(metrics.matthews_corrcoef(labels, predictions))


def f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 of class 1, of int [N] classes 0 and 1; 0 if neither side has it.

    Differs from the original, whose F1 takes predicted examples for those of the class.
    """
    return float(metrics.f1_score(labels, predictions, zero_division=0.0))


def micro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 of all decisions together, of int [N, C] zeros and ones."""
    return float(metrics.f1_score(labels.ravel(), predictions.ravel(), zero_division=0.0))


def macro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean of the classes' F1.

    Of int [N] classes, over those that occur on either side; of int [N, C] zeros and ones, over
    all columns, and a column without ones on either side counts 0.
    """
    if labels.ndim > 1:
        return float(np.mean([f1(*columns) for columns in zip(labels.T, predictions.T)]))
    return float(metrics.f1_score(labels, predictions, average="macro", zero_division=0.0))


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Pearson correlation of numbers [N]; 0 if either side is constant."""
    if _is_constant(labels) or _is_constant(predictions):
        return 0.0
    # In float64: float32 predictions that differ little would lose their differences.
    return float(stats.pearsonr(labels.astype(np.float64), predictions.astype(np.float64))[0])


def spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Spearman rank correlation of numbers [N]; 0 if either side is constant."""
    if _is_constant(labels) or _is_constant(predictions):
        return 0.0
    return float(stats.spearmanr(labels, predictions)[0])


def mse(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean squared error of numbers [N]."""
    return float(np.mean(np.square(labels.astype(np.float64) - predictions)))


def _is_constant(values: np.ndarray) -> bool:
    return bool(np.all(values == values[0]))


METRICS = {
    function.__name__: function
    for function in (accuracy, matthews, f1, micro_f1, macro_f1, pearson, spearman, mse)
}
METRICS["exact_match"] = accuracy  # as multi-label classification calls it


def score(names: tuple[str, ...], labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Metrics by name, in this order.

    Args:
        names: of METRICS.
        labels, predictions: int [N] classes, int [N, C] zeros and ones, or float [N].
    """
    return {name: METRICS[name](labels, predictions) for name in names}
