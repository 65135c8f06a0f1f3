"""The same models and objective under Keras's JAX backend: a second opinion on the mathematics."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective
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
    """Draws that keeps the Gumbel noise it gave."""

    def __init__(self, draws):
        self._random, self.noise = draws, {}

    def gumbel(self, name, rows, shape):
        self.noise[f"noise/{name}"] = self._random.gumbel(name, rows, shape)
        return self.noise[f"noise/{name}"]


@pytest.mark.parametrize("name", ["electra", "mlm", "adversarial"])
def test_loss_and_gradients_agree(run_jax, tmp_path, name):
    config = Config()
    config.objective.name = name
    config.model.vocab_size, config.model.num_layers, config.train.batch_size = 500, 2, 6
    config.model.hidden_size, config.model.num_heads, config.model.embedding_size = 64, 2, 32
    objective = build_objective(config, synthetic.vocabulary(config))
    model, draws = objective.new_model(1), Draws(0, 0, 6)
    batch = {key: tf.constant(value) for key, value in synthetic.batch(config, 32).items()}
    batch["input_mask"] = tf.sequence_mask([32, 30, 9, 32, 17, 5], 32, tf.int32)
    batch = objective.prepare(batch, draws)
    recorded, weights = RecordedNoise(draws), objective.loss_weights(batch)
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        sums, _ = objective.loss_sums(model, batch, recorded, None)
        loss = tf.add_n([objective.terms[term] * sums[term] / weights[term] for term in sums])
    gradients = tape.gradient(loss, variables)
    np.savez(
        tmp_path / "in.npz",
        config=config.to_json(),
        **{f"weight/{variable.path}": variable.numpy() for variable in model.trainable_variables},
        **{f"batch/{key}": value for key, value in batch.items()},
        **recorded.noise,
    )

    run_jax("tests/integration/jax_gradients.py", tmp_path / "in.npz", tmp_path / "out.npz")
    theirs = np.load(tmp_path / "out.npz")
    assert float(loss) == pytest.approx(float(theirs["loss"]), rel=1e-5)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient), theirs[variable.path], atol=2e-5, err_msg=variable.path
        )


def test_the_gradient_of_a_frequent_token_is_summed_in_float32(run_jax):
    assert float(run_jax("tests/unit/frequent_token.py")) < 1e-5


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
