"""Updates of TensorFlow variables where they are, for a step that no compiler makes one pass of.

In a plain graph the formulas of `Optimizer.update` read and write every array once per operation.
TensorFlow has one operation for all of Adam, which reads and writes each array once. It takes
1 - beta_2 in float32, which for 0.999 is 1.3e-5 of it too small.
"""

from collections.abc import Mapping

import tensorflow as tf

from electra_tf.train.optimizers.adam import Adam, AdamW
from electra_tf.train.optimizers.networks import NetworkOptimizers


class InPlace:
    """Updates all variables of a run as `NetworkOptimizers.apply` does, and assigns.

    Args:
        optimizers: of the run.
        idle_steps: as `NetworkOptimizers.apply` takes it.
    """

    def __init__(self, optimizers: NetworkOptimizers, idle_steps: Mapping[str, int]):
        self._optimizers, self._idle_steps = optimizers, idle_steps

    def __call__(self, variables, gradients, slots, step, norm) -> None:
        """Updates variables and slots; the same numbers as `apply` to rounding.

        Args:
            variables: float32 variables by path.
            gradients: float32 tensors by path, dense, not yet clipped.
            slots: variables by path and name.
            step: int scalar, updates completed so far.
            norm: float32 scalar, global norm of all gradients.
        """
        settings = {}  # the same tensors for all variables that have them alike
        given = self._optimizers.clipped(gradients, step, norm, self._idle_steps)
        for path, optimizer, gradient, own_step, rate in given:
            variable, own_slots = variables[path], slots[path]
            if type(optimizer) not in (Adam, AdamW):  # others do more
                _assign(optimizer, path, variable, gradient, own_slots, own_step, rate)
                continue
            key = optimizer, optimizer.scale(path), self._idle_steps.get(path, 0)
            if key not in settings:
                settings[key] = _settings(optimizer, own_step, optimizer.scaled(rate, path))
            kept, shared = settings[key]
            if optimizer.decays(path):
                variable.assign(variable.read_value() * kept)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=own_slots["m"].handle,
                v=own_slots["v"].handle,
                grad=gradient,
                **shared,
            )


def global_norm(gradients) -> tf.Tensor:
    """`clipping.global_norm` without an array of squares for each gradient."""
    return tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients]))


def _assign(optimizer, path, variable, gradient, slots, step, rate):
    tensors = {name: slot.read_value() for name, slot in slots.items()}
    value, new_slots = optimizer.update(path, variable.read_value(), gradient, tensors, step, rate)
    variable.assign(value)
    for name, slot in slots.items():
        slot.assign(new_slots[name])


def _settings(optimizer, step, rate):
    """Returns (what weight decay leaves of a value, the scalars of TensorFlow's Adam)."""
    config = optimizer.config
    factor, epsilon = optimizer.corrections(step)
    shared = {
        "lr": rate * factor,
        "epsilon": epsilon,
        "beta1": config.beta_1,
        "beta2": config.beta_2,
        "beta1_power": 0.0,  # the corrections are in the rate and in epsilon
        "beta2_power": 0.0,
    }
    tensors = {name: tf.convert_to_tensor(value) for name, value in shared.items()}
    return 1.0 - rate * config.weight_decay, tensors
