"""What training changes and a checkpoint holds: weights, optimizer slots, the step."""

import keras
import tensorflow as tf

from electra_tf.objectives.phases import Phase, Timeline
from electra_tf.train.optimizers import NetworkOptimizers


class TrainState:
    """Flat variables of one run. Create it, and the model, under the strategy's scope.

    Attributes:
        step: int64 scalar, updates completed.
        weights: variables by path; those that no phase trains, too.
        slots: optimizer accumulators by path and name, of what a phase trains.
        loss_scale, good_steps: dynamic loss scale of mixed_float16 and the steps since it last
            changed; 1 and 0 in other precisions.

    Args:
        model: its networks.
        optimizers: declare the slots.
        precision: of the runtime.
        phases: of the run.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizers: NetworkOptimizers,
        precision: str,
        phases: tuple[Phase, ...] = (Phase(),),
    ):
        timeline = Timeline(phases)
        self.weights = {variable.path: variable.value for variable in model.trainable_variables}
        self.slots = {
            path: {
                name: tf.Variable(slot.new(), trainable=False, name=f"{path}/{name}")
                for name, slot in optimizers.slots(path, tuple(weight.shape)).items()
            }
            for path, weight in self.weights.items()
            if timeline.trains(path)
        }
        self.step = _scalar(0, tf.int64, "step")
        scale = 2.0**15 if precision == "mixed_float16" else 1.0
        self.loss_scale = _scalar(scale, tf.float32, "loss_scale")
        self.good_steps = _scalar(0, tf.int64, "good_steps")

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
