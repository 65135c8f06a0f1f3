"""The training loop: any task, any strategy, resumable at every step."""

import os
import signal

import numpy as np

from electra_tf.config import Config
from electra_tf.train.checkpoint import Checkpoints
from electra_tf.train.evaluation import Evaluator
from electra_tf.train.flops import matmul_peak, training_flops_per_token
from electra_tf.train.host_loop import HostLoop, Sums
from electra_tf.train.log import MetricsLog
from electra_tf.train.optimizer import build_optimizer
from electra_tf.train.progress import Clock, Progress, brief
from electra_tf.train.signals import Interrupted, StopSignals
from electra_tf.train.state import TrainState
from electra_tf.train.step import TrainStep
from electra_tf.train.strategy import Runtime

CALL_SECONDS = 8.0  # length of a host-loop call: signals wait for its end


class Trainer:
    """Trains a task until config.train.num_steps, from the newest checkpoint if there is one.

    Args:
        task: see `tasks/pretraining.py` for what a task gives.
        config: the experiment.
        workdir: receives checkpoints/, metrics.jsonl, tensorboard/.
        runtime: devices.

    Raises:
        ValueError: the batch cannot be split evenly over devices and micro-batches.
    """

    def __init__(self, task, config: Config, workdir: str, runtime: Runtime):
        settings = config.train
        if settings.batch_size % (runtime.num_replicas * settings.accumulation_steps):
            raise ValueError(
                f"config.train.batch_size must be a multiple of devices x accumulation_steps, "
                f"{runtime.num_replicas} x {settings.accumulation_steps}. "
                f"Received: {settings.batch_size}")
        self._task, self._config, self._settings = task, config, settings
        self._workdir, self._runtime = workdir, runtime
        self._optimizer = build_optimizer(config.optimizer, settings.num_steps, task.num_layers())
        with runtime.strategy.scope():
            model = task.new_model(settings.seed, runtime.precision)
            self._state = TrainState(model, self._optimizer, runtime.precision)
        self._checkpoints = Checkpoints(os.path.join(workdir, "checkpoints"), self._state,
                                        settings.keep_checkpoints, runtime.is_chief)
        self._step = self._checkpoints.restore_latest()
        self._run_steps = HostLoop(TrainStep(task, model, self._optimizer, self._state, runtime,
                                             settings, config.optimizer.clip_norm))
        self._evaluate = Evaluator(task, task.eval_counts, model, runtime, settings.seed)
        self._progress = Progress(settings.num_steps, enabled=runtime.is_chief)

    def run(self) -> int:
        """Trains; returns the step reached.

        Raises:
            FloatingPointError: a loss or gradient was not finite; names step and saved batch.
            Interrupted: a signal asked the run to stop; the same command continues it.
        """
        if self._step >= self._settings.num_steps:
            self._progress.message(f"Nothing to train: the run is at step {self._step} of "
                                   f"{self._settings.num_steps}.")
            return self._step
        self._progress.message(f"{'Continuing' if self._step else 'Starting'} at step "
                               f"{self._step} of {self._settings.num_steps}.")
        self._log = MetricsLog(self._workdir, self._step, self._runtime.is_chief)
        self._stop = StopSignals(self._runtime)
        try:
            self._train()
            self._checkpoints.wait()
        finally:
            self._stop.restore()
            self._log.close()
            self._progress.close()
        return self._step

    def _train(self):
        settings = self._settings
        tokens = settings.batch_size * self._task.seq_length
        peak = matmul_peak(self._runtime.precision) * self._runtime.num_replicas
        flops = tokens * training_flops_per_token(self._config, self._task.seq_length)
        batches, clock, counts = iter(self._batches()), Clock(), Sums()
        while self._step < settings.num_steps:
            number = min(clock.steps_in(CALL_SECONDS), self._next_event() - self._step)
            with clock.timing(number):
                outputs = self._run_steps(batches, number)
                self._check(outputs)
            self._step += number
            counts.add(outputs["counts"])
            if self._due(settings.log_steps):
                seconds = clock.take()
                metrics = self._task.metrics(counts.take())
                metrics["learning_rate"] = float(self._optimizer.learning_rate(self._step))
                metrics["tokens_per_second"] = tokens / seconds
                self._log.write(self._step, "train", metrics)
                self._progress.report(self._step, metrics, seconds, flops / seconds / peak)
            if settings.eval_steps and self._due(settings.eval_steps):
                metrics = self._evaluate()
                self._log.write(self._step, "eval", metrics)
                self._progress.message(f"held-out at step {self._step}: {brief(metrics)}")
            stop = self._stop.agreed()
            if stop or self._due(settings.checkpoint_steps):
                self._checkpoints.save()
            if stop and self._step < settings.num_steps:
                self._checkpoints.wait()
                self._progress.message(f"Stopped by {signal.Signals(stop).name} at step "
                                       f"{self._step}, saved. The same command continues.")
                raise Interrupted(stop)

    def _batches(self):
        """Per-replica batches from the present step on."""
        rows = self._settings.batch_size // self._runtime.num_replicas

        def of_pipeline(context):
            of_worker = self._settings.batch_size // context.num_input_pipelines
            first = context.input_pipeline_id * of_worker
            return self._task.train_batches(self._step, (first, first + of_worker), rows)

        return self._runtime.strategy.distribute_datasets_from_function(of_pipeline)

    def _next_event(self):
        """The next step at which a call must end."""
        settings = self._settings
        periods = (settings.log_steps, settings.checkpoint_steps, settings.eval_steps)
        return min(settings.num_steps, *((self._step // period + 1) * period
                                         for period in periods if period))

    def _due(self, period):
        return self._step % period == 0 or self._step == self._settings.num_steps

    def _check(self, outputs):
        """Raises FloatingPointError after keeping the batch, if the last step was not finite."""
        if bool(outputs["ok"]):
            return
        failed = int(self._state.step.numpy())
        path = os.path.join(self._workdir, f"nonfinite_step_{failed}.npz")
        if self._runtime.is_chief:
            np.savez(path, **self._task.train_batch(failed))
        raise FloatingPointError(
            f"Loss and gradient must be finite. Received: gradient norm "
            f"{float(outputs['gradient_norm'])} at step {failed}; nothing was updated, the batch "
            f"is in {path}. Try a lower learning rate, a longer warm-up or another precision.")

