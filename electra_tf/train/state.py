"""What training changes and a checkpoint holds: weights, optimizer slots, the step."""

import keras
import tensorflow as tf

from electra_tf.config import TrainConfig
from electra_tf.models.randomness import dropout_words
from electra_tf.objectives.phases import Phase, Timeline
from electra_tf.train.optimizers import NetworkOptimizers
from electra_tf.train.strategy import Runtime
from electra_tf.train.task import TrainedObjective

WEIGHTS, AVERAGES = "weights/", "averages/"  # where they stand in a checkpoint
DROPOUTS = 4096  # calls of dropout in a step, of which a run that may be renewed knows the noise


class TrainState:
    """Flat variables of one run. Create it, and the model, under the strategy's scope.

    Attributes:
        step: int64 scalar, updates completed.
        weights: variables by path; those that no phase trains, too.
        slots: optimizer accumulators by path and name, of what a phase trains.
        averages: moving averages of all weights by path, the variables of `averaged`; empty where
            that is None.
        loss_scale, good_steps: dynamic loss scale of mixed_float16 and the steps since it last
            changed; 1 and 0 in other precisions.
        dropout_words: int64 [DROPOUTS], the seed for `Dropout` where `renew` may change it, in no
            checkpoint; else None.

    Args:
        model: its networks.
        optimizers: declare the slots.
        precision: of the runtime.
        phases: of the run.
        renewed_seed: of the first of several runs; None: this state serves one run.
        averaged: a model like `model`, for the moving averages of its weights; None: without.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizers: NetworkOptimizers,
        precision: str,
        phases: tuple[Phase, ...] = (Phase(),),
        renewed_seed: int | None = None,
        averaged: keras.Model | None = None,
    ):
        timeline, self._optimizers = Timeline(phases), optimizers
        self.weights = _weights(model)
        self.averages = {} if averaged is None else _weights(averaged)
        self.slots = {
            path: {
                name: tf.Variable(slot.new(), trainable=False, name=f"{path}/{name}")
                for name, slot in self._slots(path).items()
            }
            for path in self.weights
            if timeline.trains(path)
        }
        self.step = _scalar(0, tf.int64, "step")
        self._first_scale = 2.0**15 if precision == "mixed_float16" else 1.0
        self.loss_scale = _scalar(self._first_scale, tf.float32, "loss_scale")
        self.good_steps = _scalar(0, tf.int64, "good_steps")
        self.dropout_words: tf.Variable | None = None
        if renewed_seed is not None:
            words = tf.constant(dropout_words(renewed_seed, DROPOUTS))
            self.dropout_words = tf.Variable(words, trainable=False, name="dropout_words")

    def begin_averages(self) -> None:
        """Sets the averages, where there are any, to the weights."""
        for path, average in self.averages.items():
            average.assign(self.weights[path])

    def renew(self, model: keras.Model, seed: int) -> None:
        """Becomes the state before the first step of another run.

        Args:
            model: freshly initialised, of the same paths and shapes.
            seed: of the other run.
        """
        for variable in model.trainable_variables:
            self.weights[variable.path].assign(variable.value)
        for path, slots in self.slots.items():
            for name, slot in self._slots(path).items():
                slots[name].assign(slot.new())
        self.step.assign(0)
        self.loss_scale.assign(self._first_scale)
        self.good_steps.assign(0)
        if self.dropout_words is None:
            raise ValueError("A state must have a renewed_seed to serve another run")
        self.dropout_words.assign(dropout_words(seed, DROPOUTS))

    def _slots(self, path):
        return self._optimizers.slots(path, tuple(self.weights[path].shape))

    def copy(self, phase: Phase) -> None:
        """Sets the weights that a phase begins with."""
        sources = {path: phase.source(path) for path in self.weights}
        values = {path: self.weights[source].numpy() for path, source in sources.items() if source}
        for path, value in values.items():
            self.weights[path].assign(value)
            if self.averages:
                self.averages[path].assign(value)

    def variables(self) -> dict[str, tf.Variable]:
        """Every variable by its name in the checkpoint."""
        named = {f"{WEIGHTS}{path}": weight for path, weight in self.weights.items()}
        for path, average in self.averages.items():
            named[f"{AVERAGES}{path}"] = average
        for path, slots in self.slots.items():
            named |= {f"slots/{path}/{name}": slot for name, slot in slots.items()}
        return named | {
            "step": self.step,
            "loss_scale": self.loss_scale,
            "good_steps": self.good_steps,
        }


def new_state(
    objective: TrainedObjective,
    optimizers: NetworkOptimizers,
    settings: TrainConfig,
    runtime: Runtime,
    several_runs: bool = False,
) -> tuple[keras.Model, keras.Model, TrainState]:
    """What a run begins with.

    Args:
        objective: what is learnt.
        optimizers: of its weights.
        settings: `seed` and `average_decay` of the run.
        runtime: devices.
        several_runs: whether the state will be renewed.

    Returns:
        (the networks that are trained, those that are evaluated, their state): where
        `average_decay` is 0 the first two are one.
    """
    averaged = None
    with runtime.strategy.scope():
        model = objective.new_model(settings.seed, runtime.precision)
        if settings.average_decay:
            averaged = objective.new_model(settings.seed, runtime.precision)
        state = TrainState(
            model,
            optimizers,
            runtime.precision,
            objective.phases(),
            settings.seed if several_runs else None,
            averaged,
        )
    return model, model if averaged is None else averaged, state


def _weights(model):
    return {variable.path: variable.value for variable in model.trainable_variables}


def _scalar(value, dtype, name):
    return tf.Variable(tf.constant(value, dtype), trainable=False, name=name)
