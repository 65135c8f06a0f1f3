"""What the training loop, the step and the evaluator need; they know nothing else of a task.

A task is an objective and rows to train it on. In shapes, B is the global batch, b the rows of one
call (those of a replica, or of one of its micro-batches) and L their length. The loss is

    sum over terms t of  terms[t] * (sum of t over the global batch) / (weight of t over it)

so that neither replicas nor micro-batches change it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives.counts import Histogram
from electra_tf.objectives.objective import Metric
from electra_tf.objectives.phases import Phase


class TrainedObjective(Protocol):
    """Networks and their losses; `objectives.Objective` is one."""

    @property
    def terms(self) -> Mapping[str, float]:
        """Factor of every loss term, by name."""
        ...

    def factors(self, step: Any) -> Mapping[str, Any]:
        """Those at a step, an int32 scalar: numbers, or float32 scalars that change."""
        ...

    @property
    def headline(self) -> Sequence[Metric]:
        """Metrics that are shown beside the loss while training, in this order."""
        ...

    def check_rows(self, rows: int) -> None:
        """Raises UserError if a micro-batch of a device cannot have so many rows."""
        ...

    def num_layers(self) -> dict[str, int]:
        """Depth of each network by its name in variable paths, for layer-wise decay."""
        ...

    def phases(self) -> tuple[Phase, ...]:
        """Phases of the run, one after the other; the last one lasts to its end."""
        ...

    def new_model(self, seed: int, dtype: str) -> keras.Model:
        """Freshly initialised networks, a function of the seed.

        Args:
            seed: of the weights.
            dtype: Keras's dtype policy, such as mixed_bfloat16; the weights are float32.
        """
        ...

    def prepare(self, batch: dict, draws: Draws) -> dict:
        """Draws what does not need the model: features [b, …] in, more features [b, …] out.

        Called once per replica and step, outside of the gradient.
        """
        ...

    def loss_weights(self, batch: dict) -> dict:
        """Weight of every loss term over these prepared rows, float32 scalars by name."""
        ...

    def loss_sums(
        self, model: keras.Model, batch: dict, draws: Draws, dropout: Dropout | None
    ) -> tuple[dict, dict]:
        """Loss terms of prepared rows, differentiable.

        Args:
            model: what `new_model` made.
            batch: prepared features [b, …].
            draws: noise of these rows.
            dropout: None for none.

        Returns:
            ({term: float32 scalar, summed over the rows}, {name: float32 additive counts}).
        """
        ...

    def metrics(self, counts: dict) -> dict[str, float]:
        """Metrics from counts that are summed over rows, steps and replicas, float64 arrays."""
        ...


class EvaluatedObjective(TrainedObjective, Protocol):
    """An objective that the loop can evaluate."""

    def eval_counts(self, model: keras.Model, batch: dict, draws: Draws) -> dict:
        """Additive counts of held-out rows, float32 by name: fresh draws, no dropout.

        Args:
            model: what `new_model` made.
            batch: features [b, …] that are not prepared.
            draws: noise of these rows.
        """
        ...


@runtime_checkable
class Task(Protocol):
    """An objective and rows to train it on."""

    @property
    def objective(self) -> TrainedObjective:
        """What is learnt."""
        ...

    @property
    def seq_length(self) -> int:
        """Tokens per row that count for the speed, tokens/s."""
        ...

    @property
    def flops_per_token(self) -> float:
        """Operations of a training step per token, for the share of the peak."""
        ...

    def train_batches(
        self, start_step: int, rows: tuple[int, int], rows_per_batch: int
    ) -> tf.data.Dataset:
        """Endless data set of features by name, int32 or float32 [rows_per_batch, …].

        All batches are as large as that of `start_step`.

        Args:
            start_step: step of the first batch; the order is a function of seed and step.
            rows: (first, end) of the rows of each global batch to yield.
            rows_per_batch: cuts them into consecutive elements of this size.
        """
        ...

    def train_batch(self, step: int) -> dict[str, Any]:
        """The whole global batch of a step, NumPy [B, …], to keep it when it fails."""
        ...


@runtime_checkable
class EvaluatedTask(Protocol):
    """An objective and held-out rows to evaluate it on."""

    @property
    def objective(self) -> EvaluatedObjective:
        """What is learnt."""
        ...

    def eval_batches(
        self, batch_size: int, worker: int, num_workers: int, split: str = "eval"
    ) -> tf.data.Dataset:
        """Finite data set of features, int32 [batch_size, L], with every row of a split once.

        Batch k of worker w is batch k * num_workers + w of all. Every worker has the same number
        of batches; rows that fill them up count nothing.

        Args:
            batch_size: rows per batch.
            worker: of num_workers, counted from 0.
            num_workers: among how many the batches are dealt out.
            split: which rows.
        """
        ...


@runtime_checkable
class ShownTask(Protocol):
    """A task that has something to show of an evaluation besides metrics."""

    def show(
        self, model: keras.Model, batch: dict, draws: Draws, counts: Mapping[str, Any]
    ) -> Mapping[str, str | Histogram]:
        """Texts, as Markdown, and histograms by what TensorBoard calls them.

        Args:
            model: what the objective's `new_model` made.
            batch: a few held-out rows, int32 [b, L].
            draws: noise of these rows, that of the evaluation.
            counts: of all held-out rows, float64 arrays.
        """
        ...
