"""Adam and its relatives.

| name         | bias correction      | weight decay | step length per variable               |
| ------------ | -------------------- | ------------ | -------------------------------------- |
| adam         | if `bias_correction` | decoupled    | learning rate                          |
| adamw        | always               | decoupled    | learning rate                          |
| stable_adamw | always               | decoupled    | learning rate / max(1, surprise)       |
| lamb         | always               | decoupled    | learning rate x |value| / |direction|  |
"""

import math

from keras import ops

from electra_tf.train.optimizers.base import Optimizer, Slot, uses_weight_decay
from electra_tf.train.optimizers.clipping import global_norm


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay.

    Without bias correction this is the optimizer of ELECTRA (arXiv 2003.10555, appendix A) and
    BERT, step for step: the schedule's warm-up stands in for the correction.
    """

    def __init__(self, config, num_steps, num_layers):
        super().__init__(config, num_steps, num_layers)
        self._bias_correction = config.bias_correction

    def slots(self, path, shape):
        return {"m": Slot(shape), "v": Slot(shape)}

    def update(self, path, value, gradient, slots, step, learning_rate):
        direction, slots = self._direction(path, value, gradient, slots, step)
        return value - self.scaled(learning_rate, path) * direction, slots

    def corrections(self, step):
        """Bias correction as (factor of m, epsilon) of factor * m / (sqrt(v) + epsilon).

        As scalars it costs one operation on the full shape instead of two.

        Args:
            step: int scalar, updates completed so far.
        """
        if not self._bias_correction:
            return 1.0, self.config.epsilon
        # expm1, because 1 - 0.999**t in float32 is wrong in the fifth digit at t = 1.
        t = ops.cast(step, "float32") + 1.0
        sqrt_v_share = ops.sqrt(-ops.expm1(t * _log(self.config.beta_2)))
        m_share = -ops.expm1(t * _log(self.config.beta_1))
        return sqrt_v_share / m_share, self.config.epsilon * sqrt_v_share

    def _direction(self, path, value, gradient, slots, step):
        """Returns (corrected m / (sqrt(corrected v) + epsilon) + decay * value, new slots)."""
        config = self.config
        m = config.beta_1 * slots["m"] + (1.0 - config.beta_1) * gradient
        v = config.beta_2 * slots["v"] + (1.0 - config.beta_2) * ops.square(gradient)
        factor, epsilon = self.corrections(step)
        direction = (factor * m if self._bias_correction else m) / (ops.sqrt(v) + epsilon)
        if self.decays(path):
            direction = direction + config.weight_decay * value
        return direction, {"m": m, "v": v}


class AdamW(Adam):
    """Adam with bias correction and decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(self, config, num_steps, num_layers):
        super().__init__(config, num_steps, num_layers)
        self._bias_correction = True


class StableAdamW(AdamW):
    """AdamW with smaller steps where gradients surprise (Wortsman et al. 2023, algorithm 2).

    The surprise of a variable is the root of the mean of gradient^2 / v, about 1 as long as its
    gradients are what they were. It takes the place of clipping: set `clip_norm` to 0.
    """

    def update(self, path, value, gradient, slots, step, learning_rate):
        direction, slots = self._direction(path, value, gradient, slots, step)
        t = ops.cast(step, "float32") + 1.0
        v = slots["v"] / -ops.expm1(t * _log(self.config.beta_2))
        ratio = ops.square(gradient) / ops.maximum(v, self.config.epsilon**2)
        surprise = ops.sqrt(ops.mean(ratio))
        rate = self.scaled(learning_rate, path) / ops.maximum(surprise, 1.0)
        return value - rate * direction, slots


class LAMB(AdamW):
    """LAMB (You et al. 2020, algorithm 2) with the identity as scaling function.

    The step of each variable has the length learning rate x norm of the variable. As in the
    authors' released code, the ratio is left at 1 for biases and layer normalization (they start
    at 0 or have another scale), and for a variable whose value or direction is all zeros.
    """

    def update(self, path, value, gradient, slots, step, learning_rate):
        direction, slots = self._direction(path, value, gradient, slots, step)
        rate = self.scaled(learning_rate, path)
        if uses_weight_decay(path):
            length, target = global_norm([direction]), global_norm([value])
            defined = ops.logical_and(length > 0.0, target > 0.0)
            # The inner `where` keeps 0 / 0 out of the graph even where it is not selected.
            rate = rate * ops.where(defined, target / ops.where(defined, length, 1.0), 1.0)
        return value - rate * direction, slots


def _log(beta):
    """Logarithm of a momentum factor; 0 (no momentum) becomes a finite number that acts like it."""
    return math.log(max(beta, 1e-30))
