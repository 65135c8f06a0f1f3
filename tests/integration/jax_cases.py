"""What test_jax compares, under KERAS_BACKEND=jax: one start and one program for each case.

Usage: jax_cases.py FOLDER: reads FOLDER/loss-NAME.npz and FOLDER/masks-NAME.npz, arrays that the
other backend has used, and writes results into FOLDER/theirs under the same names; and
frequent-token.npz. Prints the traceback of a case that fails, which has no result.
"""

import pathlib
import sys
import traceback

import jax
import keras
import numpy as np

from electra_tf.config import Config
from electra_tf.objectives import build_objective
from electra_tf.speed import synthetic
from tests.unit import frequent_token


class GivenNoise:
    """Stands in for Draws with the noise that the other backend used."""

    step = 0

    def __init__(self, arrays):
        self._arrays = arrays

    def gumbel(self, name, rows, shape):
        return self._arrays[f"noise/{name}"]

    uniform = gumbel


def loss_and_gradients(objective, batch, arrays) -> dict:
    """The loss, and its gradients by the weights' paths."""
    model = objective.new_model(0)
    weights = [arrays[f"weight/{variable.path}"] for variable in model.trainable_variables]

    def loss_of(values):
        with keras.StatelessScope(
            state_mapping=list(zip(model.trainable_variables, values, strict=True))
        ):
            sums, _ = objective.loss_sums(model, batch, GivenNoise(arrays), None)
            total = objective.loss_weights(batch)
        return sum(objective.terms[term] * sums[term] / total[term] for term in sums)

    loss, gradients = jax.jit(jax.value_and_grad(loss_of))(weights)
    paths = [variable.path for variable in model.trainable_variables]
    return {"loss": loss, **dict(zip(paths, gradients, strict=True))}


def masks(objective, batch, arrays) -> dict:
    """The batch with its masks."""
    return jax.jit(lambda rows: objective.prepare(rows, GivenNoise(arrays)))(batch)


KINDS = {"loss": loss_and_gradients, "masks": masks}


def result_of(source: pathlib.Path) -> dict:
    arrays = dict(np.load(source))
    config = Config.from_json(str(arrays.pop("config")))
    objective = build_objective(config, synthetic.vocabulary(config))
    batch = {
        name.split("/")[1]: value for name, value in arrays.items() if name.startswith("batch/")
    }
    return KINDS[source.stem.partition("-")[0]](objective, batch, arrays)


def main(folder: pathlib.Path):
    theirs = folder / "theirs"
    theirs.mkdir()
    for source in sorted(folder.glob("*.npz")):
        try:
            np.savez(theirs / source.name, **result_of(source))
        except Exception:
            print(f"{source.stem}: {traceback.format_exc()}", flush=True)
    np.savez(theirs / "frequent-token.npz", largest_error=frequent_token.largest_error())
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
