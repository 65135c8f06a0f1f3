"""Metrics as additive counts: what replicas, micro-batches and steps may sum in any order.

A metric such as accuracy or AUC is not additive; the counts behind it are. The step returns
float32 counts, the loop sums them, and `ratio` or `area_under_curve` makes the metric at the end.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

DETECTION_HISTOGRAM = "disc/histogram"  # a count, of a discriminator's logits
LOGIT_RANGE = 16.0  # logits beyond it fall into the outermost bins
NUM_BINS = 16_384  # bins of 1/512 of a logit: ties within a bin count one half


class Histogram(NamedTuple):
    """Numbers of tokens by a value.

    Attributes:
        edges: of the intervals of the value, float64 [K + 1].
        numbers: of tokens in each, float64 [K].
    """

    edges: np.ndarray
    numbers: np.ndarray


def token_counts(prefix: str, losses, correct, weights):
    """Counts of a token prediction: loss sum, right answers, total; arrays [T] float32."""
    return {
        f"{prefix}/loss": ops.sum(losses * weights),
        f"{prefix}/correct": ops.sum(ops.cast(correct, "float32") * weights),
        f"{prefix}/total": ops.sum(weights),
    }


def detection_counts(prefix: str, logits, labels, losses, weights):
    """Counts of a binary decision at logit 0, with histograms of the logits for the AUC.

    Args:
        prefix: leads the names of the counts.
        logits: float32 [B, L].
        labels: float32 [B, L] in {0, 1}.
        losses: float32 [B, L].
        weights: float32 [B, L], 0 in padding.
    """
    positive = labels * weights
    predicted = ops.cast(logits > 0.0, "float32") * weights
    bins = (ops.clip(logits, -LOGIT_RANGE, LOGIT_RANGE) + LOGIT_RANGE) * (
        NUM_BINS / (2.0 * LOGIT_RANGE)
    )
    bins = ops.cast(ops.minimum(bins, NUM_BINS - 1.0), "int32")
    bins = bins + ops.cast(labels, "int32") * NUM_BINS
    histogram = histogram_of(ops.reshape(bins, (-1,)), ops.reshape(weights, (-1,)), 2 * NUM_BINS)
    true_positive = ops.sum(predicted * labels)
    total, num_positive, num_predicted = ops.sum(weights), ops.sum(positive), ops.sum(predicted)
    return {
        f"{prefix}/loss": ops.sum(losses * weights),
        f"{prefix}/total": total,
        f"{prefix}/correct": total - num_positive - num_predicted + 2.0 * true_positive,
        f"{prefix}/positive": num_positive,
        f"{prefix}/predicted": num_predicted,
        f"{prefix}/true_positive": true_positive,
        f"{prefix}/histogram": histogram,
    }


def detection_metrics(counts) -> dict[str, float]:
    """The metrics of summed `detection_counts`, by the names of the original's evaluation."""
    return {
        "disc_loss": ratio(counts, "disc/loss", "disc/total"),
        "disc_accuracy": ratio(counts, "disc/correct", "disc/total"),
        "disc_precision": ratio(counts, "disc/true_positive", "disc/predicted"),
        "disc_recall": ratio(counts, "disc/true_positive", "disc/positive"),
        "disc_auc": area_under_curve(counts[DETECTION_HISTOGRAM]),
    }


def histogram_of(bins, weights, num_bins: int):
    """Sums of weights by bin, as the product of the bins' two digits.

    A GPU adds to one place one number after the other, and the logits of a fresh model share few
    bins. The product has no such queue and one order, and is exact for weights 0 and 1 up to 2^24
    of them in a bin.

    Args:
        bins: int32 [T], from 0 to num_bins - 1.
        weights: float32 [T].
        num_bins: a multiple of 128.

    Returns:
        float32 [num_bins].
    """
    high = ops.one_hot(bins // 128, num_bins // 128, dtype="float32") * weights[:, None]
    low = ops.one_hot(bins % 128, 128, dtype="float32")
    return ops.reshape(ops.matmul(ops.transpose(high), low), (-1,))


def ratio(counts, numerator: str, denominator: str) -> float:
    """counts[numerator] / counts[denominator]; 0 for 0 / 0, as in the original's metrics."""
    total = float(counts[denominator])
    return float(counts[numerator]) / total if total else 0.0


def token_metrics(prefix: str, counts) -> dict[str, float]:
    """Mean loss and accuracy of a token prediction, from its `token_counts`."""
    return {
        f"{prefix}_loss": ratio(counts, f"{prefix}/loss", f"{prefix}/total"),
        f"{prefix}_accuracy": ratio(counts, f"{prefix}/correct", f"{prefix}/total"),
    }


def generator_counts(losses, best, sampled, ids, weights):
    """Counts of a generator's predictions of masked tokens, all of one shape.

    Args:
        losses: float32, cross-entropies.
        best: int32, its best guesses.
        sampled: int32, its samples.
        ids: int32, the right tokens.
        weights: float32, 0 in unused slots.
    """
    counts = token_counts("masked_lm", losses, best == ids, weights)
    counts["sampled/correct"] = ops.sum(ops.cast(sampled == ids, "float32") * weights)
    return counts


def generator_metrics(counts) -> dict[str, float]:
    """The metrics of summed `generator_counts`, by the names of the original's evaluation."""
    return {
        **token_metrics("masked_lm", counts),
        "sampled_masked_lm_accuracy": ratio(counts, "sampled/correct", "masked_lm/total"),
    }


def area_under_curve(histogram) -> float:
    """Area under the ROC curve from `histogram` of detection_counts, float [2 * NUM_BINS].

    The probability that a replaced token has a higher logit than an original one; pairs in one
    bin count one half. NaN when one of the two classes is empty.
    """
    negative, positive = np.asarray(histogram, np.float64).reshape(2, NUM_BINS)
    pairs = negative.sum() * positive.sum()
    if not pairs:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + 0.5 * negative)) / pairs)


def bin_probabilities() -> np.ndarray:
    """The probability that belongs to each bin of logits, float64 [NUM_BINS]."""
    logits = (np.arange(NUM_BINS) + 0.5) * (2 * LOGIT_RANGE / NUM_BINS) - LOGIT_RANGE
    return 1 / (1 + np.exp(-logits))


def by_probability(histogram, intervals: int) -> tuple[Histogram, Histogram]:
    """Original and replaced tokens by the probability of being replaced.

    Args:
        histogram: of detection_counts, float [2 * NUM_BINS].
        intervals: of probability, all of one width.
    """
    edges = np.linspace(0.0, 1.0, intervals + 1)
    places = (bin_probabilities() * intervals).astype(int)
    original, replaced = (
        Histogram(edges, np.bincount(places, weights=numbers, minlength=intervals))
        for numbers in np.asarray(histogram, np.float64).reshape(2, NUM_BINS)
    )
    return original, replaced
