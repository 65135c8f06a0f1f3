"""Weight initialisation, and weight shapes without allocating them."""

import zlib
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

ZEROS, ONES = "zeros", "ones"
GLOROT_UNIFORM, TRUNCATED_NORMAL = "glorot_uniform", "truncated_normal"


def add_weight(
    layer: keras.layers.Layer,
    name: str,
    shape: tuple[int, ...],
    start: str,
    *,
    scale: float = 1.0,
    autocast=True,
) -> keras.Variable:
    """Gives a layer a weight, in its `build`; empty until `initialize` fills it.

    Args:
        layer: whose weight it is.
        name: last part of its path.
        shape: of the weight.
        start: ZEROS, ONES, GLOROT_UNIFORM or TRUNCATED_NORMAL.
        scale: factor of the truncated normal's standard deviation.
        autocast: whether the layer sees it in its compute dtype, not in float32.
    """
    weight = layer.add_weight(name=name, shape=shape, initializer="zeros", autocast=autocast)
    weight.start, weight.scale = start, scale
    return weight


def shapes_of(new_model: Callable[[], keras.Model]) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's weights by path, without making one of them."""
    with keras.StatelessScope(initialize_variables=False):
        return {
            variable.path: tuple(variable.shape) for variable in new_model().trainable_variables
        }


def initialize(model: keras.Model, stddev: float, seed: int) -> keras.Model:
    """Fills every weight, in place, from the seed, the weight's path and its declared start.

    | weight                                  | start                                       |
    | --------------------------------------- | ------------------------------------------- |
    | bias, beta                              | 0                                           |
    | gamma                                   | 1                                           |
    | embeddings_project, logit, task kernels | Glorot uniform                              |
    | every other kernel, embedding tables    | truncated normal, `stddev`, cut at 2 stddev |
    | what a pre-norm layer adds to its sum   | the same times 1 / sqrt(2 x layers)         |

    As in the original: its `embeddings_project`, final discriminator logit and task heads keep
    tf.layers' default, Glorot uniform. The truncated normal is not rescaled to `stddev`.

    Args:
        model: or a layer, whose weights `add_weight` made.
        stddev: of the truncated normal.
        seed: other seeds give independent weights.

    Returns:
        The model.
    """
    for variable in model.trainable_variables:
        own_seed = zlib.crc32(f"{seed}/{variable.path}".encode()) & 0x7FFFFFFF
        new = _INITIALIZERS[variable.start](stddev * variable.scale, own_seed)
        value = new(variable.shape, dtype="float32")
        variable.assign(ops.convert_to_numpy(value))
    return model


_INITIALIZERS = {
    ZEROS: lambda stddev, seed: np.zeros,
    ONES: lambda stddev, seed: np.ones,
    GLOROT_UNIFORM: lambda stddev, seed: keras.initializers.GlorotUniform(seed=seed),
    TRUNCATED_NORMAL: lambda stddev, seed: keras.initializers.TruncatedNormal(
        stddev=stddev, seed=seed
    ),
}
