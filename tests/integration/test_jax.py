"""The same models and objective under Keras's JAX backend: a second opinion on the mathematics."""

import dataclasses
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config
from electra_tf.models.randomness import Draws
from electra_tf.objectives import OBJECTIVES, build_objective
from electra_tf.speed import synthetic

ROOT = pathlib.Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_jax():
    """Runs Python in the environment that has JAX and no TensorFlow."""
    python = os.environ.get("ELECTRA_TF_JAX_PYTHON")
    if not python:
        pytest.skip("ELECTRA_TF_JAX_PYTHON is not set: run `make test-slow`")

    def run(*arguments):
        environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            [python, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


class RecordedNoise:
    """Draws that keeps the noise it gave."""

    def __init__(self, draws):
        self._draws, self.step, self.noise = draws, draws.step, {}

    def gumbel(self, name, rows, shape):
        return self._keep(name, self._draws.gumbel(name, rows, shape))

    def uniform(self, name, rows, shape):
        return self._keep(name, self._draws.uniform(name, rows, shape))

    def _keep(self, name, noise):
        self.noise[f"noise/{name}"] = noise
        return noise


ADDED = {
    "contrastive_weight": 1.0,
    "contrastive_rows": 3,
    "corrective_weight": 1.0,
    "selection_weight": 1.0,
}
# What two_stage adds to electra is not in its losses.
CASES = {name: {"name": name} for name in OBJECTIVES if name != "two_stage"} | {
    "additions": ADDED,
    "gdes": {},  # how embeddings are shared
    "modern": {},  # the block
}
SPANS = ["token", "word", "ngram"]


@pytest.fixture(scope="module")
def compared(run_jax, tmp_path_factory):
    """A function of a case's name: (what TensorFlow makes of it, what JAX does, by name)."""
    folder = tmp_path_factory.mktemp("jax")
    ours = {f"loss-{name}": _loss_and_gradients(folder, name) for name in CASES}
    ours |= {f"masks-{span}": _masks(folder, span) for span in SPANS}
    printed = run_jax("tests/integration/jax_cases.py", folder)

    def of(name):
        path = folder / "theirs" / f"{name}.npz"
        assert path.exists(), printed
        return ours.get(name), dict(np.load(path))

    return of


def _loss_and_gradients(folder, name):
    config = Config()
    config.objective = dataclasses.replace(config.objective, **CASES[name])
    config.model.vocab_size, config.model.num_layers, config.train.batch_size = 500, 2, 6
    config.model.hidden_size, config.model.num_heads, config.model.embedding_size = 64, 2, 32
    if name == "gdes":
        config.model.sharing = name
    if name == "modern":
        config.model.block, config.model.local_window = name, 8
    objective = build_objective(config, synthetic.vocabulary(config))
    model, draws = objective.new_model(1), Draws(0, 0, 6)
    batch = {key: tf.constant(value) for key, value in synthetic.batch(config, 32).items()}
    batch["input_mask"] = tf.sequence_mask([32, 30, 9, 32, 17, 5], 32, tf.int32)
    batch = objective.prepare(batch, draws)
    recorded, weights = RecordedNoise(draws), objective.loss_weights(batch)
    variables = {variable.path: variable.value for variable in model.trainable_variables}
    with tf.GradientTape() as tape:
        sums, _ = objective.loss_sums(model, batch, recorded, None)
        loss = tf.add_n([objective.terms[term] * sums[term] / weights[term] for term in sums])
    gradients = tape.gradient(loss, variables)
    _write(
        folder / f"loss-{name}.npz",
        config,
        batch,
        recorded,
        {f"weight/{path}": value.numpy() for path, value in variables.items()},
    )
    return {"loss": loss, **gradients}


def _masks(folder, span):
    config = Config()
    config.objective.span, config.objective.random_token_fraction = span, 0.1
    config.model.vocab_size, config.train.batch_size = 500, 60
    objective = build_objective(config, synthetic.vocabulary(config))
    batch = {key: tf.constant(value) for key, value in synthetic.batch(config, 50).items()}
    batch["input_mask"] = tf.sequence_mask(tf.range(60) % 51, 50, tf.int32)
    recorded = RecordedNoise(Draws(0, 0, 60))
    prepared = objective.prepare(batch, recorded)
    _write(folder / f"masks-{span}.npz", config, batch, recorded, {})
    return prepared


def _write(path, config, batch, recorded, weights):
    named = {f"batch/{key}": value for key, value in batch.items()}
    np.savez(path, config=config.to_json(), **named, **recorded.noise, **weights)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_agree(compared, name):
    ours, theirs = compared(f"loss-{name}")
    assert ours.keys() == theirs.keys()
    assert float(ours.pop("loss")) == pytest.approx(float(theirs["loss"]), rel=1e-5)
    for path, gradient in ours.items():
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient), theirs[path], atol=2e-5, err_msg=path
        )


@pytest.mark.parametrize("span", SPANS)
def test_masks_agree(compared, span):
    ours, theirs = compared(f"masks-{span}")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)


def test_the_gradient_of_a_frequent_token_is_summed_in_float32(compared):
    assert compared("frequent-token")[1]["largest_error"] < 1e-5


def test_benchmark_runs_without_tensorflow(run_jax, tmp_path):
    output = tmp_path / "figures.json"
    printed = run_jax(
        "-m",
        "electra_tf",
        "benchmark",
        "--config=configs/electra_small.py",
        "--config.model.num_layers=1",
        "--config.model.vocab_size=500",
        "--config.train.batch_size=4",
        "--seconds=0.5",
        f"--output={output}",
    )
    figures = json.loads(output.read_text())
    assert figures["backend"] == "jax" and "tokens/s" in printed
    assert figures["tokens_per_second"] == pytest.approx(4 * 128 / figures["step_seconds"]["total"])
    # An untrained generator guesses among 500 words, the discriminator is about undecided.
    assert figures["loss"] == pytest.approx(np.log(500) + 50 * np.log(2), rel=0.1)


def test_the_plan_needs_no_tensorflow(run_jax):
    printed = run_jax(
        "-m", "electra_tf", "benchmark", "--plan", "--config=configs/electra_small.py"
    )
    assert "14,196,219 weights" in printed and "70.2 MFLOP/token, 1.15e+18 FLOP in" in printed
