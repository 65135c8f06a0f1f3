"""How weights start, the one place that says so; and their shapes before they do."""

import zlib
from collections.abc import Callable

import keras
import numpy as np
from keras import ops


def shapes_of(new_model: Callable[[], keras.Model]) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's weights by path, without making one of them."""
    with keras.StatelessScope(initialize_variables=False):
        return {variable.path: tuple(variable.shape)
                for variable in new_model().trainable_variables}


def initialize(model: keras.Model, stddev: float, seed: int) -> keras.Model:
    """Fills every weight, in place, from the seed and the weight's path alone.

    | weight                                  | start                                       |
    | --------------------------------------- | ------------------------------------------- |
    | bias, beta                              | 0                                           |
    | gamma                                   | 1                                           |
    | embeddings_project, logit, task kernels | Glorot uniform                              |
    | every other kernel, embedding tables    | truncated normal, `stddev`, cut at 2 stddev |

    As in the original: its `embeddings_project`, final discriminator logit and task heads keep
    tf.layers' default, Glorot uniform. The truncated normal is not rescaled to `stddev`.

    Returns:
        The model.
    """
    for variable in model.trainable_variables:
        path, name = variable.path, variable.path.rsplit("/", 1)[-1]
        if name in ("bias", "beta", "output_bias", "gamma"):
            value = np.full(variable.shape, float(name == "gamma"), np.float32)
        else:
            own_seed = zlib.crc32(f"{seed}/{path}".encode()) & 0x7FFFFFFF
            if path.startswith("task/") or path.endswith(("embeddings_project/kernel",
                                                          "logit/kernel")):
                initializer = keras.initializers.GlorotUniform(seed=own_seed)
            else:
                initializer = keras.initializers.TruncatedNormal(stddev=stddev, seed=own_seed)
            value = ops.convert_to_numpy(initializer(variable.shape, dtype="float32"))
        variable.assign(value)
    return model
