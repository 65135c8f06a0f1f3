"""What an optimizer is: its slots, its learning rate and the update of one variable.

An optimizer owns no variables. `update` maps (value, gradient, slots) to new ones, so the same
lines run inside the compiled update of every replica, in a plain graph, and on Keras's JAX backend.
Whoever calls it keeps the slots beside the weights and counts the steps.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.errors import UserError
from electra_tf.train import schedule

_UNDECAYED = ("gamma", "beta", "bias", "output_bias")


@dataclasses.dataclass(frozen=True)
class Slot:
    """An accumulator of one variable, of any shape.

    Attributes:
        shape: often the variable's own.
        initial: value of all its elements at the start.
        dtype: Keras's name of its type.
    """

    shape: tuple[int, ...]
    initial: float = 0.0
    dtype: str = "float32"

    def new(self):
        """Its first value, a tensor."""
        return ops.full(self.shape, self.initial, self.dtype)


class Optimizer:
    """Base class: the schedule, and what a subclass must define.

    Attributes:
        config: its settings.
    """

    def __init__(self, config: OptimizerConfig, num_steps: int, num_layers: Mapping[str, int]):
        """Reads its settings once.

        Args:
            config: optimizer section of the experiment.
            num_steps: number of updates of the run, where the schedule ends.
            num_layers: depth of each network by its name in variable paths, for layer decay.

        Raises:
            UserError: `num_steps` is below 1, or the schedule unknown.
        """
        if num_steps < 1:
            raise UserError(f"num_steps must be at least 1. Received: {num_steps}")
        schedule.find(config.schedule)
        self.config = config
        self._num_steps = num_steps
        self._num_layers = dict(num_layers)

    def learning_rate(self, step):
        """Learning rate of update number `step`, counted from 1; see `schedule`."""
        return schedule.learning_rate(self.config, self._num_steps, step)

    def slots(self, path: str, shape: tuple[int, ...]) -> dict[str, Slot]:
        """The accumulators of a variable by name; the names stand in checkpoints.

        Args:
            path: the variable's path.
            shape: the variable's shape.
        """
        raise NotImplementedError

    def update(
        self, path: str, value, gradient, slots: Mapping[str, Any], step, learning_rate
    ) -> tuple[Any, dict[str, Any]]:
        """One update of one variable.

        Args:
            path: the variable's path; decides weight decay and layer decay.
            value: float32 tensor.
            gradient: float32 tensor like `value`, dense, already clipped.
            slots: tensors by name, as `self.slots` declares them.
            step: int scalar, updates of this variable completed so far.
            learning_rate: float32 scalar, that of the run's step.

        Returns:
            (new value, new slots), like `value` and `slots`.
        """
        raise NotImplementedError

    def scale(self, path: str) -> float:
        """The factor of a variable's learning rate under layer-wise decay."""
        return layer_scale(path, self.config.layer_decay, self._num_layers)

    def scaled(self, learning_rate, path: str):
        """The learning rate of a variable, a scalar like the run's."""
        scale = self.scale(path)
        return learning_rate if scale == 1.0 else learning_rate * scale

    def decays(self, path: str) -> bool:
        """Whether the weight decay applies to a variable."""
        return self.config.weight_decay > 0 and uses_weight_decay(path)


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
        UserError: if the path has a layer of no known network, or beyond the network's depth.
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
        raise UserError(
            f"A layer's variable path must name a network and a layer of it, networks "
            f"and depths being {dict(num_layers)}. Received: {path!r}"
        )
    return layer_decay ** (depth - int(layer[1]))
