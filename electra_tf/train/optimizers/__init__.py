"""Optimizers as pure functions on `keras.ops`, by the names that configs use."""

from collections.abc import Mapping

from electra_tf.config import OptimizerConfig
from electra_tf.config.sections import check_optimizer_name
from electra_tf.train.optimizers.adam import LAMB, Adam, AdamW, StableAdamW
from electra_tf.train.optimizers.base import Optimizer, Slot, layer_scale, uses_weight_decay
from electra_tf.train.optimizers.clipping import clip_by_global_norm, global_norm
from electra_tf.train.optimizers.keras_adapter import PREFIX, KerasOptimizer
from electra_tf.train.optimizers.networks import NetworkOptimizers

__all__ = [
    "NetworkOptimizers",
    "Optimizer",
    "Slot",
    "build_network_optimizers",
    "build_optimizer",
    "clip_by_global_norm",
    "global_norm",
    "layer_scale",
    "uses_weight_decay",
]

_CLASSES = {"adam": Adam, "adamw": AdamW, "stable_adamw": StableAdamW, "lamb": LAMB}


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
        UserError: if the name or schedule is unknown or `num_steps` is below 1.
    """
    if config.name.startswith(PREFIX):
        return KerasOptimizer(config, num_steps, num_layers)
    check_optimizer_name(config.name)
    return _CLASSES[config.name](config, num_steps, num_layers)


def build_network_optimizers(
    configs: Mapping[str, OptimizerConfig], num_steps: int, num_layers: Mapping[str, int]
) -> NetworkOptimizers:
    """Returns the optimizers of a run; networks with equal settings share one, and its clipping.

    Args:
        configs: settings by prefix of the variable path; `{"": config}` for all variables.
        num_steps, num_layers: as in `build_optimizer`.

    Raises:
        UserError: as `build_optimizer`.
    """
    built: list[Optimizer] = []
    chosen = {}
    for prefix, config in configs.items():
        same = [optimizer for optimizer in built if optimizer.config == config]
        chosen[prefix] = same[0] if same else build_optimizer(config, num_steps, num_layers)
        built.append(chosen[prefix])
    return NetworkOptimizers(chosen)
