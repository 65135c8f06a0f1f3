"""What a run's discriminator makes of held-out text: its ROC, its calibration, some examples."""

import dataclasses
import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from electra_tf.data import dataset
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives.counts import (
    DETECTION_HISTOGRAM,
    NUM_BINS,
    area_under_curve,
    bin_probabilities,
)
from electra_tf.runs import evaluation
from electra_tf.tasks.samples import Word, words_of
from electra_tf.train.evaluation import ROWS

MOST_TOKENS = 1 << 16  # of the held-out text that is looked at, padding included
NUM_EXAMPLES = 8
_NUM_INTERVALS = 10  # of probabilities, in the calibration
_ROC_POINTS = 120


class Interval(NamedTuple):
    """Tokens that the discriminator gives about the same probability.

    Attributes:
        predicted: its mean probability of being replaced.
        observed: share of them that is replaced.
        number: of tokens.
    """

    predicted: float
    observed: float
    number: int


@dataclasses.dataclass(frozen=True)
class Detector:
    """What was found out.

    Attributes:
        step: of the weights.
        num_examples, of_examples: held-out examples that were looked at, and that there are.
        auc: area under `roc`, as eval.json's `disc_auc`, of these examples.
        roc: (share of original, share of replaced tokens taken for replaced), from (0, 0).
        intervals: the calibration, those of ten equal intervals that have a token.
        examples: words of some rows.
    """

    step: int
    num_examples: int
    of_examples: int
    auc: float
    roc: list[tuple[float, float]]
    intervals: list[Interval]
    examples: list[list[Word]]

    @property
    def calibration_error(self) -> float:
        """Mean distance of predicted and observed share, over tokens."""
        total = sum(each.number for each in self.intervals)
        return sum(abs(it.predicted - it.observed) * it.number for it in self.intervals) / total


def examine(workdir: str) -> Detector:
    """Runs a run's networks on the beginning of its held-out examples.

    Masks and samples are those of `electra_tf evaluate`.

    Args:
        workdir: of a run whose objective counts `DETECTION_HISTOGRAM`.

    Raises:
        UserError: no checkpoint, no data, or no token is replaced in them.
    """
    task, model, runtime, step = evaluation.restore(workdir, devices="one_device")
    objective, seed = task.objective, task.config.train.seed
    split = task.open_split("eval")
    num_batches = max(1, MOST_TOKENS // (ROWS * split.seq_length))
    batches = dataset.eval_batches(split, batch_size=ROWS, num_batches=num_batches)

    @tf.function(autograph=False, jit_compile=runtime.xla or None)
    def histogram_of(batch, number):
        draws = Draws(seed, -1 - number, ROWS)
        return objective.eval_counts(model, batch, draws)[DETECTION_HISTOGRAM]

    histogram = np.zeros(2 * NUM_BINS)
    bar = tqdm(
        batches,
        total=int(batches.cardinality()),
        desc=f"examining step {step}",
        leave=False,
        disable=not sys.stderr.isatty(),
    )
    for number, batch in enumerate(bar):
        histogram += histogram_of(batch, tf.constant(number)).numpy()
    original, replaced = histogram.reshape(2, NUM_BINS)
    if not original.sum() or not replaced.sum():
        raise UserError(
            "For a ROC held-out text must have original and replaced tokens. Received: "
            f"{original.sum():,.0f} and {replaced.sum():,.0f} in "
            f"{', '.join(task.config.data.sources())}"
        )
    first = {name: value[:NUM_EXAMPLES] for name, value in next(iter(batches)).items()}
    found = objective.samples(model, first, Draws(seed, tf.constant(-1), ROWS))
    return Detector(
        step,
        min(split.num_examples, num_batches * ROWS),
        split.num_examples,
        area_under_curve(histogram),
        roc(original, replaced),
        intervals(original, replaced),
        words_of(first, found, task.vocabulary),
    )


def roc(original: np.ndarray, replaced: np.ndarray) -> list[tuple[float, float]]:
    """The ROC of histograms of logits, float [NUM_BINS] each, at most `_ROC_POINTS` long."""
    both = (np.append(0.0, np.cumsum(counts[::-1])) for counts in (original, replaced))
    xs, ys = (sums / sums[-1] for sums in both)
    # About equal distances along the curve.
    along = (xs + ys) / 2
    places = np.searchsorted(along, np.linspace(0, 1, _ROC_POINTS) - 1e-12)
    places = np.unique(np.append(0, places.clip(max=len(xs) - 1)))
    return [(float(xs[place]), float(ys[place])) for place in places]


def intervals(original: np.ndarray, replaced: np.ndarray) -> list[Interval]:
    """The calibration from histograms of logits, float [NUM_BINS] each."""
    probabilities, both = bin_probabilities(), original + replaced
    found = []
    for place in range(_NUM_INTERVALS):
        inside = (probabilities * _NUM_INTERVALS).astype(int) == place
        number = both[inside].sum()
        if number:
            found.append(
                Interval(
                    float((probabilities * both)[inside].sum() / number),
                    float(replaced[inside].sum() / number),
                    round(number),
                )
            )
    return found
