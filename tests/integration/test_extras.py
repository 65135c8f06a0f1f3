"""Without the packages of the extras: training, prediction and export work, the rest is told."""

import sys

import pytest
import tiny_runs
import tiny_tasks

from electra_tf import extras
from electra_tf.errors import UserError

PACKAGES = (
    "ai_edge_litert",
    "apache_beam",
    "flask",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "safetensors",
    "sentencepiece",
    "tensorflow_datasets",
    "tensorflow_serving",
    "tf2onnx",
    "tokenizers",
    "werkzeug",
)
# Runs a command of the command line; the packages cannot be imported.
WITHOUT = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({PACKAGES}))
sys.argv[0] = "electra_tf"
runpy.run_module("electra_tf", run_name="__main__", alter_sys=True)
"""


def run(*arguments, code: int = 0) -> tiny_runs.Result:
    return tiny_runs.run([sys.executable, "-c", WITHOUT, *map(str, arguments)], code)


def without(command: list[str]) -> list[str]:
    """The arguments of `python -m electra_tf …`."""
    return command[3:]


def test_a_missing_package_is_told_with_its_extra():
    with pytest.raises(UserError, match=r"no_such must be installed: pip install 'electra_tf\[x"):
        with extras.needed("x"):
            import no_such  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="electra_tf.no_such"):
        with extras.needed("x"):
            import electra_tf.no_such  # noqa: F401


@pytest.mark.slow
def test_training_prediction_and_export_need_no_extra(data, tmp_path, tiny_vocab_file):
    workdir = tmp_path / "run"
    run(*without(tiny_runs.command(data, workdir, {"train.num_steps": 2})))
    exported = run("export", f"--model={workdir}", f"--output={tmp_path / 'serving'}")
    assert "no warm-up requests" in exported.stderr and "[serving]" in exported.stderr
    config, fields = tiny_tasks.write_task("pairs", tmp_path / "data")
    model = tiny_tasks.write_model(tmp_path / "model", tiny_vocab_file)
    fields |= {"init_from": model, "train.num_epochs": 0.1}
    run(*without(tiny_tasks.command(config, tmp_path / "tuned", fields)))
    source, output = tmp_path / "data" / "test.jsonl", tmp_path / "answers.jsonl"
    run(*without(tiny_tasks.predict_command(tmp_path / "tuned", source, output)))
    assert len(output.read_text().splitlines()) == tiny_tasks.NUM_TEST


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("data", ["build_dataset", "--input=x", "--vocab=x", "--output_dir=y"]),
        ("data", ["learn_vocab", "--input=x", "--output=y"]),
        ("sentencepiece", ["learn_vocab", "--kind=sentencepiece", "--input=x", "--output=y"]),
        ("data", ["quickstart", "--workdir=x"]),
        ("serving", ["playground", "--model=x"]),
        ("serving", ["client", "--target=x", "--text=y"]),
        ("serving", ["check", "x"]),
        ("onnx", ["export", "--format=onnx", "--model=x", "--output=y"]),
        ("tflite", ["export", "--format=tflite", "--model=x", "--output=y"]),
    ],
)
def test_commands_name_the_extra(extra, arguments):
    error = run(*arguments, code=1).stderr.strip()
    assert error.startswith("error: The package ") and "\n" not in error
    assert f"pip install 'electra_tf[{extra}]'" in error
