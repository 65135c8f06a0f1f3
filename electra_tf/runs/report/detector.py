"""What a run's discriminator makes of held-out text: its ROC, its calibration, some examples."""

import dataclasses
import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from electra_tf import features
from electra_tf.data import dataset
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives.counts import LOGIT_RANGE, NUM_BINS, area_under_curve
from electra_tf.objectives.rtd import Replaced, ReplacedTokenDetection
from electra_tf.runs import evaluation
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train.evaluation import ROWS

HISTOGRAM = "disc/histogram"  # a count, of `objectives.counts.detection_counts`
MOST_TOKENS = 1 << 16  # of the held-out text that is looked at, padding included
NUM_EXAMPLES = 8
MOST_SHOWN = 128  # tokens of an example
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


class Word(NamedTuple):
    """A word of an example, as it stands in three versions of the text.

    Attributes:
        original: in the data.
        shown: to the generator.
        put: by the generator, and read by the discriminator.
        is_masked: whether it has a masked position.
        probability: that the discriminator takes it for replaced, the largest of its tokens'.
    """

    original: str
    shown: str
    put: str
    is_masked: bool
    probability: float


@dataclasses.dataclass(frozen=True)
class Detector:
    """What was found out.

    Attributes:
        step: of the weights.
        num_examples, of_examples: held-out examples that were looked at, and that there are.
        auc: area under `roc`, as eval.json's `disc_auc`, of these examples.
        roc: (share of original, share of replaced tokens taken for replaced), from (0, 0).
        intervals: the calibration, those of ten equal intervals that have a token.
        examples: words of some rows; none of an objective whose samples cannot be shown.
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
        workdir: of a run whose objective counts `HISTOGRAM`.

    Raises:
        UserError: no checkpoint, no data, or no token is replaced in them.
    """
    task, model, runtime, step = evaluation.restore(workdir, devices="one_device")
    objective, seed = task.objective, task.config.train.seed
    split = dataset.open_split(task.config.data.dir, "eval")
    num_batches = max(1, MOST_TOKENS // (ROWS * split.seq_length))
    batches = dataset.eval_batches(split, batch_size=ROWS, num_batches=num_batches)

    @tf.function(autograph=False, jit_compile=runtime.xla or None)
    def histogram_of(batch, number):
        draws = Draws(seed, -1 - number, ROWS)
        return objective.eval_counts(model, batch, draws)[HISTOGRAM]

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
            f"{original.sum():,.0f} and {replaced.sum():,.0f} in {task.config.data.dir}"
        )
    examples = []
    if isinstance(objective, ReplacedTokenDetection):
        first = next(iter(batches))
        found = objective.replaced(model, first, Draws(seed, tf.constant(-1), ROWS))
        examples = examples_of(first, found, task.vocabulary)
    return Detector(
        step,
        min(split.num_examples, num_batches * ROWS),
        split.num_examples,
        area_under_curve(histogram),
        roc(original, replaced),
        intervals(original, replaced),
        examples,
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
    width = 2 * LOGIT_RANGE / NUM_BINS
    logits = (np.arange(NUM_BINS) + 0.5) * width - LOGIT_RANGE
    probabilities, both = 1 / (1 + np.exp(-logits)), original + replaced
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


def examples_of(batch: dict, found: Replaced, vocabulary: Vocabulary) -> list[list[Word]]:
    """The words of the first rows of a batch.

    Args:
        batch: rows, int32 [B, L].
        found: what the networks make of them.
        vocabulary: of the ids.
    """
    ids, mask = (np.asarray(batch[name]) for name in (features.INPUT_IDS, features.INPUT_MASK))
    shown, text, masked = (np.asarray(it) for it in (found.shown, found.text, found.places))
    probabilities = 1 / (1 + np.exp(-np.asarray(found.logits, np.float64)))
    begins, special = vocabulary.begins_word(), (vocabulary.cls_id, vocabulary.sep_id)

    def word(row: int, places: list[int]) -> Word:
        return Word(
            _text(ids[row, places], vocabulary),
            _text(shown[row, places], vocabulary),
            _text(text[row, places], vocabulary),
            bool(masked[row, places].any()),
            float(probabilities[row, places].max()),
        )

    examples = []
    for row in range(min(NUM_EXAMPLES, np.count_nonzero(mask.any(axis=1)))):
        words: list[list[int]] = []
        for place in np.flatnonzero(mask[row])[:MOST_SHOWN]:
            token = ids[row, place]
            if token in special:
                continue
            if words and not begins[token]:
                words[-1].append(place)
            else:
                words.append([place])
        examples.append([word(row, places) for places in words])
    return examples


def _text(ids, vocabulary: Vocabulary) -> str:
    """Tokens of one word as text: pieces close up to what stands before them."""
    known = vocabulary.tokens  # the model may have more: a generator may draw one of those
    return vocabulary.joined([known[id] if id < len(known) else f"[{id}]" for id in ids])
