"""Optimizers and learning-rate schedule as pure functions on `keras.ops`.

An optimizer here owns no variables. `update` maps (value, gradient, slots) to new ones, so the same
lines run inside the compiled update of every replica, in a plain graph, and on Keras's JAX backend.
The step function keeps the slots as variables beside the weights and counts the steps.

| name  | bias correction      | weight decay | step length per variable               |
| ----- | -------------------- | ------------ | -------------------------------------- |
| adam  | if `bias_correction` | decoupled    | learning rate                          |
| adamw | always               | decoupled    | learning rate                          |
| lamb  | always               | decoupled    | learning rate x |value| / |direction|  |
"""

import math
import re
from collections.abc import Mapping, Sequence

from keras import ops

from electra_tf.config import OptimizerConfig

_UNDECAYED = ("gamma", "beta", "bias", "output_bias")


class Optimizer:
    """Base class: the schedule, and what a subclass must define.

    Attributes:
        slots: names of the accumulators of each variable; they start as float32 zeros of its shape.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, config: OptimizerConfig, num_steps: int, num_layers: Mapping[str, int]):
        """Reads its settings once.

        Args:
            config: optimizer section of the experiment.
            num_steps: update at which the learning rate reaches zero.
            num_layers: depth of each network by its name in variable paths, for layer decay.

        Raises:
            ValueError: if `num_steps` is below 1.
        """
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1. Received: {num_steps}")
        self._config = config
        self._num_steps = num_steps
        self._num_layers = dict(num_layers)

    def learning_rate(self, step):
        """Learning rate of update number `step`, counted from 1.

        Warm-up multiplies the polynomial decay instead of preceding it, as in the original, whose
        recorded updates have the rates of steps 1, 2, …; a linear schedule ends with rate 0.

        Args:
            step: int scalar (Python int or tensor).

        Returns:
            float32 scalar, never negative; 0 from `num_steps` on if `decay_power` is positive.
        """
        config = self._config
        step = ops.cast(step, "float32")
        remaining = 1.0 - ops.minimum(step / self._num_steps, 1.0)
        rate = config.learning_rate * ops.power(remaining, config.decay_power)
        if config.warmup_steps:
            rate = rate * ops.minimum(step / config.warmup_steps, 1.0)
        return rate

    def update(self, path: str, value, gradient, slots: tuple, step, learning_rate):
        """One update of one variable.

        Args:
            path: the variable's path; decides weight decay and layer decay.
            value: float32 tensor.
            gradient: float32 tensor like `value`, dense, already clipped.
            slots: float32 tensors like `value`, in the order of `self.slots`.
            step: int scalar, updates completed so far.
            learning_rate: float32 scalar, `self.learning_rate(step + 1)`.

        Returns:
            (new value, new slots), float32 tensors like `value`.
        """
        raise NotImplementedError

    def _scaled(self, learning_rate, path):
        scale = layer_scale(path, self._config.layer_decay, self._num_layers)
        return learning_rate if scale == 1.0 else learning_rate * scale

    def _decays(self, path):
        return self._config.weight_decay > 0 and uses_weight_decay(path)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay.

    Without bias correction this is the optimizer of ELECTRA (arXiv 2003.10555, appendix A) and
    BERT, step for step: the schedule's warm-up stands in for the correction.
    """

    slots = ("m", "v")

    def __init__(self, config, num_steps, num_layers):
        super().__init__(config, num_steps, num_layers)
        self._bias_correction = config.bias_correction

    def update(self, path, value, gradient, slots, step, learning_rate):
        direction, slots = self._direction(path, value, gradient, slots, step)
        return value - self._scaled(learning_rate, path) * direction, slots

    def _direction(self, path, value, gradient, slots, step):
        """Returns (corrected m / (sqrt(corrected v) + epsilon) + decay * value, new slots)."""
        config = self._config
        m, v = slots
        m = config.beta_1 * m + (1.0 - config.beta_1) * gradient
        v = config.beta_2 * v + (1.0 - config.beta_2) * ops.square(gradient)
        if self._bias_correction:
            # Both corrections as scalars, which costs one operation on the full shape instead of
            # two; expm1, because 1 - 0.999**t in float32 is wrong in the fifth digit at t = 1.
            t = ops.cast(step, "float32") + 1.0
            sqrt_v_share = ops.sqrt(-ops.expm1(t * _log(config.beta_2)))
            m_share = -ops.expm1(t * _log(config.beta_1))
            direction = (sqrt_v_share / m_share) * m
            direction = direction / (ops.sqrt(v) + config.epsilon * sqrt_v_share)
        else:
            direction = m / (ops.sqrt(v) + config.epsilon)
        if self._decays(path):
            direction = direction + config.weight_decay * value
        return direction, (m, v)


class AdamW(Adam):
    """Adam with bias correction and decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(self, config, num_steps, num_layers):
        super().__init__(config, num_steps, num_layers)
        self._bias_correction = True


class LAMB(AdamW):
    """LAMB (You et al. 2020, algorithm 2) with the identity as scaling function.

    The step of each variable has the length learning rate x norm of the variable. As in the
    authors' released code, the ratio is left at 1 for biases and layer normalization (they start
    at 0 or have another scale), and for a variable whose value or direction is all zeros.
    """

    def update(self, path, value, gradient, slots, step, learning_rate):
        direction, slots = self._direction(path, value, gradient, slots, step)
        rate = self._scaled(learning_rate, path)
        if uses_weight_decay(path):
            length, target = global_norm([direction]), global_norm([value])
            defined = ops.logical_and(length > 0.0, target > 0.0)
            # The inner `where` keeps 0 / 0 out of the graph even where it is not selected.
            rate = rate * ops.where(defined, target / ops.where(defined, length, 1.0), 1.0)
        return value - rate * direction, slots


def build_optimizer(
    config: OptimizerConfig, num_steps: int, num_layers: Mapping[str, int]
) -> Optimizer:
    """Returns the optimizer that `config.name` names.

    Args:
        config: optimizer section of the experiment.
        num_steps: number of updates of the run.
        num_layers: depth of each network by its name in variable paths, such as
            `{"generator": 12, "discriminator": 12}`.

    Raises:
        ValueError: if the name is unknown or `num_steps` is below 1.
    """
    classes = {"adam": Adam, "adamw": AdamW, "lamb": LAMB}
    if config.name not in classes:
        raise ValueError(f"config.optimizer.name must be one of {', '.join(classes)}. "
                         f"Received: {config.name!r}")
    return classes[config.name](config, num_steps, num_layers)


def global_norm(gradients: Sequence):
    """Euclidean norm of all gradients together.

    Args:
        gradients: float32 dense tensors of any shapes, at least one.

    Returns:
        float32 scalar; not finite if any element is not.
    """
    return ops.sqrt(ops.sum(ops.stack([ops.sum(ops.square(g)) for g in gradients])))


def clip_by_global_norm(gradients: Sequence, clip_norm: float, norm) -> list:
    """Scales all gradients by one factor so that their global norm is at most `clip_norm`.

    Args:
        gradients: float32 dense tensors.
        clip_norm: largest norm let through; 0 returns the gradients untouched.
        norm: float32 scalar, `global_norm(gradients)` (after the reduction over replicas).

    Returns:
        The scaled gradients.
    """
    if not clip_norm:
        return list(gradients)
    scale = clip_norm / ops.maximum(norm, clip_norm)
    return [gradient * scale for gradient in gradients]


def uses_weight_decay(path: str) -> bool:
    """Whether the variable decays: kernels and embeddings do, biases and layer norms do not."""
    return path.rsplit("/", 1)[-1] not in _UNDECAYED


def layer_scale(path: str, layer_decay: float, num_layers: Mapping[str, int]) -> float:
    """Learning-rate factor of a variable under layer-wise decay (appendix B of the paper).

    With decay d and a network of n layers: heads 1, the top layer d, the layer below d**2, …, the
    lowest layer d**n, embeddings and `embeddings_project` d**(n + 1). Embeddings of no network in
    particular are shared; they count from the deepest one.

    Differs from the original, which puts two powers between the head and the top layer (d**2, and
    d**(n + 2) for the embeddings; its issue #51).

    Args:
        path: variable path, such as `electra/discriminator/layer_3/attention/qkv/kernel`.
        layer_decay: d, in (0, 1].
        num_layers: n of each network by its name in the path.

    Raises:
        ValueError: if the path has a layer of no known network, or beyond the network's depth.
    """
    if layer_decay == 1.0:
        return 1.0
    parts = path.replace("_embeddings/", "/embeddings/").split("/")  # generator_embeddings/…
    depth = next((num_layers[part] for part in parts if part in num_layers), None)
    if "embeddings" in parts or "embeddings_project" in parts:
        return layer_decay ** ((depth or max(num_layers.values())) + 1)
    layer = re.search(r"(?:^|/)layer_(\d+)/", path)
    if layer is None:
        return 1.0
    if depth is None or int(layer[1]) >= depth:
        raise ValueError(f"A layer's variable path must name a network and a layer of it, networks "
                         f"and depths being {dict(num_layers)}. Received: {path!r}")
    return layer_decay ** (depth - int(layer[1]))


def _log(beta):
    """Logarithm of a momentum factor; 0 (no momentum) becomes a finite number that acts like it."""
    return math.log(max(beta, 1e-30))
