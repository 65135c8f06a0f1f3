"""Masks under KERAS_BACKEND=jax from the arrays of test_jax; prints nothing.

Usage: jax_masks.py INPUT.npz OUTPUT.npz
"""

import sys

import jax
import numpy as np

from electra_tf.config import Config
from electra_tf.objectives import build_objective
from electra_tf.speed import synthetic


class GivenNoise:
    """Stands in for Draws with the noise that the other backend used."""

    def __init__(self, arrays):
        self._arrays = arrays

    def uniform(self, name, rows, shape):
        return self._arrays[f"noise/{name}"]


def main(source, target):
    arrays = dict(np.load(source))
    config = Config.from_json(str(arrays.pop("config")))
    objective = build_objective(config, synthetic.vocabulary(config))
    batch = {
        name.split("/")[1]: value for name, value in arrays.items() if name.startswith("batch/")
    }
    np.savez(target, **jax.jit(lambda rows: objective.prepare(rows, GivenNoise(arrays)))(batch))
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
