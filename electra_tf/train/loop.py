"""The training loop: any task, any strategy, resumable at every step."""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import numpy as np
import tensorflow as tf

from electra_tf.config import OptimizerConfig, TrainConfig
from electra_tf.config.batch_sizes import Stretch
from electra_tf.errors import NotFiniteError, UserError, lack_of_room
from electra_tf.files import new_file
from electra_tf.objectives.phases import Timeline
from electra_tf.train.checkpoint import Checkpoints
from electra_tf.train.evaluation import Evaluator
from electra_tf.train.host_loop import CALL_SECONDS, HostLoop, Sums
from electra_tf.train.log import MetricsLog
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.peak import matmul_peak
from electra_tf.train.progress import Clock, Progress, brief
from electra_tf.train.signals import Interrupted, StopSignals
from electra_tf.train.state import TrainState, new_state
from electra_tf.train.step import TrainStep
from electra_tf.train.strategy import Runtime
from electra_tf.train.task import EvaluatedTask, ShownTask, Task, TrainedObjective

_SHOWN_ROWS = 4  # held-out rows of which samples are shown


def require_even_batches(
    settings: TrainConfig, objective: TrainedObjective, num_replicas: int
) -> None:
    """Raises UserError unless a batch can be split evenly over devices and micro-batches."""
    parts = num_replicas * settings.accumulation_steps
    for stretch in settings.batch_sizes().stretches:
        if stretch.size % parts:
            raise UserError(
                f"{stretch.field} must be a multiple of devices x accumulation_steps, "
                f"{num_replicas} x {settings.accumulation_steps}. Received: {stretch.size}"
            )
        objective.check_rows(stretch.size // parts)


@contextlib.contextmanager
def enough_memory(stretch: Stretch) -> Iterator[None]:
    """Raises UserError if a step of a stretch, in this `with`, does not fit into the memory."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if lack_of_room(error):
            raise
        raise UserError(
            "The model and a batch must fit into the memory of the device. Received: "
            f"{stretch.field} {stretch.size}; take a smaller one, or "
            f"more config.train.accumulation_steps ({error.message.splitlines()[0]:.200})"
        ) from error


class Trainer:
    """Trains a task until config.train.num_steps, from the newest checkpoint if there is one.

    Attributes:
        model: the task's model, with the present weights.

    Args:
        task: what is learnt; an EvaluatedTask if settings.eval_steps asks for evaluation.
        settings: length and rhythm.
        optimizers: settings by beginning of the paths of the weights, the longest one decides;
            `{"": config}` for one optimizer of all weights.
        workdir: receives checkpoints/, metrics.jsonl, tensorboard/, all of it in `run`.
        runtime: devices.
        initialize: called with the TrainState when there is no checkpoint yet, to start from
            other values than the fresh ones; such a run is evaluated before its first step.
        goes_on: asked between steps, with the number of those done, whether to do more: False ends
            `run`, saved, and the same run may go on later. Not for several workers.
        several_runs: whether `next_run` will follow: then dropout is all that the objective may
            draw of the seed, and the loop evaluates nothing.

    Raises:
        UserError: the batch cannot be split evenly over devices and micro-batches, or not so that
            the objective can do with a part.
    """

    def __init__(
        self,
        task: Task,
        settings: TrainConfig,
        optimizers: Mapping[str, OptimizerConfig],
        workdir: str,
        runtime: Runtime,
        initialize: Callable[[TrainState], None] | None = None,
        goes_on: Callable[[int], bool] | None = None,
        several_runs: bool = False,
    ):
        objective = task.objective
        require_even_batches(settings, objective, runtime.num_replicas)
        self._runtime = runtime
        self._optimizers = build_network_optimizers(
            optimizers, settings.num_steps, objective.num_layers()
        )
        self.model, self._evaluated, self._state = new_state(
            objective, self._optimizers, settings, runtime, several_runs
        )
        self._initialize, self._goes_on, self._peak = initialize, goes_on, None
        self._timeline, self._phase = Timeline(objective.phases()), None
        self._stretch = settings.batch_sizes().at(0)
        self._take(task, settings, workdir)
        if settings.eval_steps:
            evaluated = cast(EvaluatedTask, task)
            counts_of = evaluated.objective.eval_counts
            self._evaluate = Evaluator(
                evaluated, counts_of, self._evaluated, runtime, settings.seed
            )

    def _take(self, task, settings, workdir):
        self._task, self._settings, self._workdir, self._step = task, settings, workdir, 0
        self._batch_sizes = settings.batch_sizes()
        self._checkpoints = Checkpoints(
            os.path.join(workdir, "checkpoints"),
            self._state,
            settings.keep_checkpoints,
            self._runtime.is_chief,
        )
        self._progress = Progress(
            settings.num_steps, task.objective.headline, enabled=self._runtime.is_chief
        )

    def next_run(self, task: Task, settings: TrainConfig, workdir: str) -> None:
        """Turns to another run, with the networks and traced steps of the one before.

        Args:
            task: of the same objective and shapes of batches; its rows may have another order.
            settings: as before but for the seed.
            workdir: of the other run.
        """
        with self._runtime.strategy.scope():
            fresh = task.objective.new_model(settings.seed, self._runtime.precision)
        self._state.renew(fresh, settings.seed)
        self._take(task, settings, workdir)

    def run(self) -> int:
        """Trains; returns the step reached.

        Raises:
            NotFiniteError: a loss or gradient was not finite; names step and saved batch.
            Interrupted: a signal asked the run to stop; the same command continues it.
        """
        from_elsewhere = self._start()
        self._step, end = int(self._state.step.numpy()), self._settings.num_steps
        self._log = MetricsLog(self._workdir, self._step, self._runtime.is_chief)
        self._stop = StopSignals(self._runtime)
        try:
            # What the former process was stopped before it could do, or what the run begins with.
            due = self._evaluates_now() or (from_elsewhere and self._settings.eval_steps)
            if due and not self._log.had(self._step, "eval"):
                self._evaluate_held_out()
            if self._step < end:
                verb = "Continuing" if self._step else "Starting"
                self._progress.message(f"{verb} at step {self._step} of {end}: {self._runtime}.")
                self._train()
            else:
                self._progress.message(
                    f"Nothing to train: the run is at step {self._step} of {end}."
                )
            self._checkpoints.wait()
        finally:
            self._stop.restore()
            self._log.close()
            self._progress.close()
        return self._step

    def _start(self):
        """Restores or initialises the state; returns whether it comes from another model."""
        restored = self._checkpoints.restore_latest() is not None
        if not restored and self._initialize:
            self._initialize(self._state)
        if not restored:
            self._state.begin_averages()
        return not restored and self._initialize is not None

    def _train(self):
        settings = self._settings
        runtime = self._runtime
        if self._peak is None:
            peak = matmul_peak(runtime.precision, tf.function, runtime.device == "GPU")
            self._peak = peak * runtime.num_replicas
        self._iterator, clock, counts = None, Clock(), Sums()
        while self._step < settings.num_steps:
            if self._enter_phase():
                clock = Clock()  # to trace the step is no part of its speed
                self._progress.doing("tracing the step (about a minute) …")
            number = min(clock.steps_in(CALL_SECONDS), self._next_event() - self._step)
            number = self._runtime.least(number)
            with clock.timing(number):
                new_counts, report = self._call(number)
                self._check(report)
            self._step += number
            counts.add(new_counts)
            if self._due(settings.log_steps):
                seconds, tokens = clock.take(), self._stretch.size * self._task.seq_length
                flops = tokens * self._task.flops_per_token
                metrics = self._task.objective.metrics(counts.take())
                metrics["gradient_norm"] = float(report["gradient_norm"])  # of the last step
                metrics = self._log_metrics("train", metrics, tokens / seconds)
                rows = self._batch_sizes.examples
                left = (rows(settings.num_steps) - rows(self._step)) / self._stretch.size * seconds
                self._progress.report(self._step, metrics, left, flops / seconds / self._peak)
            if self._due(settings.checkpoint_steps):
                self._checkpoints.save()
            if self._evaluates_now():
                self._evaluate_held_out()
            if self._step < settings.num_steps:
                self._stop_if_asked()
                if self._goes_on and not self._goes_on(self._step):
                    self._checkpoints.save()
                    return

    def _call(self, number):
        with enough_memory(self._stretch):
            return self._run_steps(self._iterator, number)

    def _enter_phase(self):
        """Makes the step for the present phase and size of the batch, and what reads such batches.

        Sets weights where the phase begins now.

        Returns:
            Whether it is another step than before.
        """
        former = self._phase, self._stretch
        self._phase, begin, end = self._timeline.at(self._step)
        self._stretch = self._batch_sizes.at(self._step)
        ends = (end, self._stretch.end, self._settings.num_steps)
        self._next_stretch = min(each for each in ends if each is not None)
        if self._iterator is None or self._stretch != former[1]:
            # The trainer keeps it: to free it takes seconds, which a process that ends saves.
            self._iterator = iter(self._batches())
        if former == (self._phase, self._stretch):
            return False
        if former[0] is not None:  # what follows may not fit into the memory
            self._checkpoints.save()
        self._run_steps = HostLoop(
            TrainStep(
                self._task.objective,
                self.model,
                self._optimizers,
                self._state,
                self._runtime,
                dataclasses.replace(self._settings, batch_size=self._stretch.size),
                self._step,
            ),
            goes_on=lambda report: report["ok"],
        )
        # A run that stops right here has saved what was before.
        if self._phase is not former[0] and self._step == begin:
            self._state.copy(self._phase)
        return True

    def _evaluate_held_out(self):
        """Evaluates and logs."""

        def between_calls(share):
            self._progress.update(f"evaluating, {share:.0%}")
            self._stop_if_asked()

        self._progress.update("evaluating …")
        metrics = self._evaluate(between_calls)
        speed = self._evaluate.tokens_per_second
        self._log_metrics("eval", metrics, speed, self._shown)
        self._progress.message(f"held-out at step {self._step}: {brief(metrics)}")

    def _shown(self):
        """What TensorBoard shows of the evaluation besides its metrics."""
        if not (self._runtime.is_chief and isinstance(self._task, ShownTask)):
            return {}
        rows, draws = self._evaluate.first_rows(_SHOWN_ROWS)
        return self._task.show(self._evaluated, rows, draws, self._evaluate.counts)

    def _log_metrics(self, split, metrics, tokens_per_second, shown=None):
        metrics = {
            **metrics,
            "tokens_per_second": tokens_per_second,
            **self._optimizers.learning_rates(self._step),
        }
        self._log.write(self._step, split, metrics, shown)
        return metrics

    def _stop_if_asked(self):
        stop = self._stop.agreed()
        if stop:
            self._checkpoints.save()
            self._checkpoints.wait()
            self._progress.message(
                f"Stopped by {signal.Signals(stop).name} at step "
                f"{self._step}, saved. The same command continues."
            )
            raise Interrupted(stop)

    def _batches(self):
        """Per-replica batches from the present step on."""
        rows = self._stretch.size // self._runtime.num_replicas

        def of_pipeline(context):
            of_worker = self._stretch.size // context.num_input_pipelines
            first = context.input_pipeline_id * of_worker
            batches = self._task.train_batches(self._step, (first, first + of_worker), rows)
            # Several workers would prepare for its end, with batches of unknown size.
            return batches.apply(
                tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
            )

        return self._runtime.strategy.distribute_datasets_from_function(of_pipeline)

    def _next_event(self):
        """The next step at which a call must end."""
        settings = self._settings
        periods = (settings.log_steps, settings.checkpoint_steps, settings.eval_steps)
        return min(
            self._next_stretch,
            *((self._step // period + 1) * period for period in periods if period),
        )

    def _evaluates_now(self):
        return self._step and self._settings.eval_steps and self._due(self._settings.eval_steps)

    def _due(self, period):
        return self._step % period == 0 or self._step == self._settings.num_steps

    def _check(self, report):
        """Raises NotFiniteError after keeping the batch, if the last step was not finite."""
        if bool(report["ok"]):
            return
        failed = int(self._state.step.numpy())
        path = os.path.join(self._workdir, f"nonfinite_step_{failed}.npz")
        if self._runtime.is_chief:
            with new_file(path) as temporary:
                np.savez(temporary, **self._task.train_batch(failed))
        raise NotFiniteError(
            f"Loss and gradient must be finite. Received: gradient norm "
            f"{float(report['gradient_norm'])} at step {failed}; nothing was updated, the batch "
            f"is in {path}. Try a lower learning rate, a longer warm-up or another precision."
        )
