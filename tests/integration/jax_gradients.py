"""Loss and gradients under KERAS_BACKEND=jax from the arrays of test_jax; prints nothing.

Usage: jax_gradients.py INPUT.npz OUTPUT.npz
"""

import sys

import jax
import keras
import numpy as np

from electra_tf.config import Config
from electra_tf.objectives import build_objective
from electra_tf.speed import synthetic


class GivenNoise:
    """Stands in for Draws with the noise that the other backend used."""

    step = 0

    def __init__(self, arrays):
        self._arrays = arrays

    def gumbel(self, name, rows, shape):
        return self._arrays[f"noise/{name}"]

    uniform = gumbel


def main(source, target):
    arrays = dict(np.load(source))
    config = Config.from_json(str(arrays.pop("config")))
    objective = build_objective(config, synthetic.vocabulary(config))
    model = objective.new_model(0)
    weights = [arrays[f"weight/{variable.path}"] for variable in model.trainable_variables]
    batch = {
        name.split("/")[1]: value for name, value in arrays.items() if name.startswith("batch/")
    }

    def loss_of(values):
        with keras.StatelessScope(
            state_mapping=list(zip(model.trainable_variables, values, strict=True))
        ):
            sums, _ = objective.loss_sums(model, batch, GivenNoise(arrays), None)
            total = objective.loss_weights(batch)
        return sum(objective.terms[term] * sums[term] / total[term] for term in sums)

    loss, gradients = jax.jit(jax.value_and_grad(loss_of))(weights)
    np.savez(
        target,
        loss=loss,
        **{
            variable.path: gradient
            for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        },
    )
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
