"""What a term declares that is added to a detector's loss."""

import abc
from typing import Any, NamedTuple

import keras

from electra_tf.config import Config
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import counts as counting
from electra_tf.objectives.generators import Replacements
from electra_tf.objectives.objective import Metric
from electra_tf.objectives.passes import Pass


class Detected(NamedTuple):
    """What a detector has made of some rows.

    Attributes:
        generated: what the generator put into the text.
        replaced: the text with it, int32 [B, L].
        hidden: the discriminator's states, [B, L, H] in the compute dtype.
        logits: float32 [B, L], positive where a token looks replaced.
    """

    generated: Replacements
    replaced: Any
    hidden: Any
    logits: Any


class Addition(abc.ABC):
    """A loss term on what the discriminator has read.

    Attributes:
        name: of the term, and the beginning of its metrics' names.
        head: name in the model, and in its weights' paths, of the head that it trains, one of
            `models.electra.ADDED_HEADS`; None without.
        headline: metrics that people are shown.

    Args:
        config: the experiment.
        name: the attribute.
    """

    head: str | None = None
    headline: tuple[Metric, ...]

    def __init__(self, config: Config, name: str):
        self.config, self.name = config, name

    def check(self) -> None:  # noqa: B027 (most demand nothing)
        """Raises UserError if the term cannot be that of the config, valid in its sections."""

    def check_rows(self, rows: int) -> None:  # noqa: B027 (most have losses row by row)
        """Raises UserError if the term cannot be computed for so many rows at a time."""

    def prepare(self, batch: dict, draws: Draws) -> dict:
        """Draws what does not need the model: a masked batch in, with more features out."""
        del draws
        return batch

    @abc.abstractmethod
    def loss_weight(self, batch: dict) -> Any:
        """Weight of the term over prepared rows, float32 scalar."""

    @abc.abstractmethod
    def loss_sum(
        self,
        model: keras.Model,
        batch: dict,
        detected: Detected,
        draws: Draws,
        dropout: Dropout | None,
    ) -> tuple[Any, dict]:
        """The term of some rows.

        Args:
            model: an `Electra` with `head`.
            batch: prepared rows.
            detected: what the discriminator has made of them.
            draws: of these rows.
            dropout: None for none.

        Returns:
            (loss sum, counts by name), float32.
        """

    def metrics(self, counts: dict) -> dict[str, float]:
        """Summed counts as metrics; `NAME_loss` is the trained loss."""
        return counting.token_metrics(self.name, counts)

    @abc.abstractmethod
    def passes(self) -> tuple[Pass, ...]:
        """What `loss_sum` runs."""
