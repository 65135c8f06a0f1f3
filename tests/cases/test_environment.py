"""What else a user's machine is set to: Keras's backend and settings, by variables and files."""

import json
import sys

import numpy as np
import pytest
import tiny_runs
from random_models import random_electra

import electra_tf
from electra_tf.__main__ import COMMANDS
from electra_tf.saved import model_directory

TEXTS = ["the small model", "trained on words and texts"]
HOSTILE = {
    "backend": "torch",
    "floatx": "float64",
    "epsilon": 0.5,
    "image_data_format": "channels_first",
}
FLAGS = {
    "build_dataset": ["--input=x", "--vocab=x", "--output_dir=x"],
    "evaluate": ["--workdir=x"],
    "export": ["--model=x", "--output=x"],
    "learn_vocab": ["--input=x", "--output=x"],
    "predict": ["--model=x", "--input=x", "--output=x"],
    "pretrain": ["--config=configs/electra_small.py", "--workdir=x"],
    "benchmark": ["--config=configs/electra_small.py"],
}
# Prints what a model answers, and in what the networks compute.
ANSWER = f"""
import json, sys
import electra_tf
model = electra_tf.load(sys.argv[1])
print(json.dumps([model.predict({TEXTS}), model.network.dtype_policy.name]))
"""


def write_keras_json(folder) -> str:
    (folder / "keras.json").write_text(json.dumps(HOSTILE))
    return str(folder)


def write_model(folder, vocab_file) -> str:
    model_directory.write(random_electra(vocab_file, "embeddings"), str(folder / "model"))
    return str(folder / "model")


@pytest.mark.parametrize("name", FLAGS)
def test_another_backend_is_one_line(name):
    assert name in COMMANDS
    result = tiny_runs.run(
        [sys.executable, "-m", "electra_tf", name, *FLAGS[name]], code=1, KERAS_BACKEND="torch"
    )
    assert result.stderr.startswith("error: electra_tf runs on Keras's TensorFlow backend")
    assert result.stderr.endswith("Received: KERAS_BACKEND=torch\n")
    assert result.stderr.count("\n") == 1


def test_another_backend_in_python_is_a_user_error():
    code = (
        "import electra_tf\n"
        "try: electra_tf.load('nowhere')\n"
        "except electra_tf.UserError as error: print(error)"
    )
    result = tiny_runs.run([sys.executable, "-c", code], KERAS_BACKEND="jax")
    assert result.stdout.endswith("Received: KERAS_BACKEND=jax\n") and not result.stderr


def test_jax_that_is_not_installed_is_one_line():
    code = (
        "import runpy, sys\n"
        "sys.modules['jax'] = None\n"
        "sys.argv = ['electra_tf', 'benchmark', '--config=configs/electra_small.py']\n"
        "runpy.run_module('electra_tf', run_name='__main__', alter_sys=True)"
    )
    result = tiny_runs.run([sys.executable, "-c", code], code=1, KERAS_BACKEND="jax")
    assert result.stderr.startswith("error: The package jax must be installed: pip install ")
    assert result.stderr.count("\n") == 1


def test_keras_settings_change_no_answer(tmp_path, tiny_vocab_file):
    path = write_model(tmp_path, tiny_vocab_file)
    result = tiny_runs.run(
        [sys.executable, "-c", ANSWER, path],
        KERAS_BACKEND="",
        KERAS_HOME=write_keras_json(tmp_path),
        TF_USE_LEGACY_KERAS="1",
    )
    answers, policy = json.loads(result.stdout)
    assert not result.stderr and policy == "float32"
    expected = electra_tf.load(path).predict(TEXTS)
    for answer, right in zip(answers, expected, strict=True):
        assert [token["token"] for token in answer] == [token["token"] for token in right]
        np.testing.assert_allclose(
            [token["replaced_probability"] for token in answer],
            [token["replaced_probability"] for token in right],
            rtol=1e-5,
        )


@pytest.mark.slow
def test_keras_settings_change_no_training(data, tmp_path):
    steps = {"train.num_steps": 3, "train.log_steps": 1}
    settings = {"KERAS_HOME": write_keras_json(tmp_path), "TF_USE_LEGACY_KERAS": "1"}
    for name, environment in (("plain", {}), ("hostile", settings)):
        command = tiny_runs.command(data, tmp_path / name, steps)
        tiny_runs.run(command, KERAS_BACKEND="", **environment)
    plain, hostile = (
        tiny_runs.saved(tiny_runs.latest(tmp_path / name)) for name in ("plain", "hostile")
    )
    for name, value in plain.items():
        np.testing.assert_array_equal(hostile[name], value, err_msg=name)
