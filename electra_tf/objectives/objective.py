"""What every pre-training objective offers to the training step.

One step runs `prepare` on all rows of a replica, sums `weights` over the replicas, and then
takes gradients of `loss_sums`, micro-batch by micro-batch: the loss is

    sum over terms t of  terms[t] * (sum of t over the global batch) / (weight of t over it)

so that neither replicas nor micro-batches change it. A new objective is a subclass in a file of
its own and a line in `objectives/__init__.py`.
"""

import abc

import keras

from electra_tf.config import Config
from electra_tf.models.randomness import BatchRandom, DropoutRandom


class Objective(abc.ABC):
    """A pre-training objective.

    Args:
        config: the experiment.
        special: ids of the special tokens, a `SpecialTokens`.

    Attributes:
        terms: factor of every loss term, by name.
        random_replacements: names that `detection_counts` takes; none without a discriminator.
    """

    terms: dict[str, float]
    random_replacements: tuple[str, ...] = ()

    def __init__(self, config: Config, special: "SpecialTokens"):
        self.config, self.special = config, special

    @abc.abstractmethod
    def new_model(self, seed: int, dtype: str | None = None) -> keras.Model:
        """The freshly initialised networks."""

    @abc.abstractmethod
    def prepare(self, batch: dict, random: BatchRandom) -> dict:
        """Draws what does not need the model (masks): batch int32 [B, L] in, more features out."""

    @abc.abstractmethod
    def weights(self, batch: dict) -> dict:
        """Weight of every loss term over these rows, float32 scalars, from a prepared batch."""

    @abc.abstractmethod
    def loss_sums(self, model: keras.Model, batch: dict, random: BatchRandom,
                  rng: DropoutRandom | None) -> tuple[dict, dict]:
        """Returns ({term: float32 sum over these rows}, {name: float32 additive counts})."""

    @abc.abstractmethod
    def metrics(self, counts: dict) -> dict[str, float]:
        """Summed counts as metrics, by the names of the original's evaluation."""


class SpecialTokens:
    """Ids that objectives need: `cls_id`, `sep_id`, `mask_id`, and `vocab_size`.

    Args:
        vocabulary: anything with these attributes and a length.
    """

    def __init__(self, vocabulary):
        self.cls_id, self.sep_id = vocabulary.cls_id, vocabulary.sep_id
        self.mask_id, self.vocab_size = vocabulary.mask_id, len(vocabulary)
        self.never_masked = (self.cls_id, self.sep_id, self.mask_id)
