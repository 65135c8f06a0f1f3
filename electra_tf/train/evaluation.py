"""Held-out metrics: every example once, the same draws whatever the devices."""

from typing import Any

import tensorflow as tf

from electra_tf import features
from electra_tf.models.randomness import Draws
from electra_tf.train.host_loop import CALL_SECONDS, HostLoop, Sums
from electra_tf.train.progress import Clock
from electra_tf.train.strategy import Runtime
from electra_tf.train.task import EvaluatedTask

ROWS = 32  # examples per batch; a constant, so that masks do not depend on the training batch


class Evaluator:
    """Sums a task's counts over a split and makes metrics of them.

    Attributes:
        tokens_per_second: speed of the last evaluation, padding included.
        counts: of the last evaluation, summed over its rows, float64 arrays by name.

    Args:
        task: gives batches and metrics.
        counts_of: function (model, int32 features [ROWS, L], Draws) to counts.
        model: the networks, under the runtime's strategy.
        runtime: devices.
        seed: of the masks and samples.
    """

    def __init__(self, task: EvaluatedTask, counts_of, model, runtime: Runtime, seed: int):
        self._task, self._counts_of, self._model = task, counts_of, model
        self._runtime, self._seed = runtime, seed
        self._loop = HostLoop(self._step)
        self.tokens_per_second, self.counts = 0.0, {}

    def __call__(self, on_progress=None, split: str = "eval") -> dict[str, float]:
        """Evaluates.

        Args:
            on_progress: called with the share done, from 0 to 1, every few seconds.
            split: which rows.
        """
        strategy, sums, clock = self._runtime.strategy, Sums(), Clock()
        replicas = strategy.num_replicas_in_sync
        one = self._task.eval_batches(ROWS, 0, replicas, split)
        left = total = int(one.cardinality())
        batches = iter(
            strategy.distribute_datasets_from_function(
                lambda context: self._of_pipeline(context, split)
            )
        )
        while left:
            number = self._runtime.least(min(left, clock.steps_in(CALL_SECONDS)))
            with clock.timing(number):
                sums.add(self._loop(batches, number)[0])
            left -= number
            if on_progress:
                on_progress(1.0 - left / total)
        spec: Any = one.element_spec
        positions = spec[features.INPUT_IDS].shape.num_elements()
        self.tokens_per_second = replicas * positions / clock.take()
        self.counts = sums.take()
        return self._task.objective.metrics(self.counts)

    def first_rows(self, number: int) -> tuple[dict, Draws]:
        """The first rows of the held-out split, and the draws that an evaluation has for them.

        Args:
            number: of rows, at most ROWS.
        """
        batch = next(iter(self._task.eval_batches(ROWS, 0, 1)))
        rows = {name: value[:number] for name, value in batch.items()}
        return rows, Draws(self._seed, tf.constant(-1), ROWS)

    def _of_pipeline(self, context, split):
        """Numbered batches of one worker's replicas, in turn."""
        replicas = self._runtime.num_replicas
        local = replicas // context.num_input_pipelines
        parts = []
        for replica in range(
            context.input_pipeline_id * local, (context.input_pipeline_id + 1) * local
        ):
            part = self._task.eval_batches(ROWS, replica, replicas, split)
            # Batch k of this replica is batch k * replicas + replica of the split.
            parts.append(
                part.enumerate().map(
                    lambda k, batch, replica=replica: (k * replicas + replica, batch)
                )
            )
        if local > 1:
            parts = [
                tf.data.Dataset.choose_from_datasets(
                    parts, tf.data.Dataset.range(local).repeat(), stop_on_empty_dataset=True
                )
            ]
        # All have the same number, so nobody reads to the end: several workers would prepare
        # for it, with batches of unknown size.
        return parts[0].repeat()

    def _step(self, numbered):
        counts = self._runtime.strategy.run(self._on_replica, args=numbered)
        summed = {
            name: self._runtime.strategy.reduce("SUM", value, axis=None)
            for name, value in counts.items()
        }
        return summed, {}

    def _on_replica(self, number, batch):
        # A function of its own for each replica: a shared one would read the first one's weights.
        count = tf.function(self._count, jit_compile=True) if self._runtime.xla else self._count
        return count(number, batch)

    def _count(self, number, batch):
        # Training draws for steps from 0 up; evaluation batches go from -1 down.
        draws = Draws(self._seed, -1 - tf.cast(number, tf.int32), ROWS)
        return self._counts_of(self._model, batch, draws)
