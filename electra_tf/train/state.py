"""What training changes and a checkpoint holds: weights, optimizer slots, the step."""

import keras
import tensorflow as tf

from electra_tf.models.randomness import dropout_words
from electra_tf.objectives.phases import Phase, Timeline
from electra_tf.train.optimizers import NetworkOptimizers

DROPOUTS = 4096  # calls of dropout in a step, of which a run that may be renewed knows the noise


class TrainState:
    """Flat variables of one run. Create it, and the model, under the strategy's scope.

    Attributes:
        step: int64 scalar, updates completed.
        weights: variables by path; those that no phase trains, too.
        slots: optimizer accumulators by path and name, of what a phase trains.
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
    """

    def __init__(
        self,
        model: keras.Model,
        optimizers: NetworkOptimizers,
        precision: str,
        phases: tuple[Phase, ...] = (Phase(),),
        renewed_seed: int | None = None,
    ):
        timeline, self._optimizers = Timeline(phases), optimizers
        self.weights = {variable.path: variable.value for variable in model.trainable_variables}
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

    def variables(self) -> dict[str, tf.Variable]:
        """Every variable by its name in the checkpoint."""
        named = {f"weights/{path}": weight for path, weight in self.weights.items()}
        for path, slots in self.slots.items():
            named |= {f"slots/{path}/{name}": slot for name, slot in slots.items()}
        return named | {
            "step": self.step,
            "loss_scale": self.loss_scale,
            "good_steps": self.good_steps,
        }


def _scalar(value, dtype, name):
    return tf.Variable(tf.constant(value, dtype), trainable=False, name=name)
