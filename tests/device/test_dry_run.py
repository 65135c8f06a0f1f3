"""The kit for a machine with a GPU, on the CPU: prepared, run as there, its weights evaluated."""

import json
import lzma
import os
import runpy
import shutil
import subprocess
import sys

import pytest

from electra_tf.runs.evaluation import evaluate
from tests.conftest import REFERENCE, ROOT

pytestmark = pytest.mark.slow
TINY = [
    "--config.model.num_layers=1",
    "--config.model.hidden_size=32",
    "--config.model.num_heads=2",
    "--config.model.intermediate_size=64",
    "--config.model.embedding_size=32",
    "--config.train.batch_size=16",
    "--config.runtime.precision=mixed_bfloat16",
]


def run(command, cwd, **environment) -> str:
    result = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder as on the GPU host, the kit in .gpu; the data sets in runs/gpu."""
    checkout = tmp_path_factory.mktemp("device") / "checkout"
    for name in ("electra_tf", "configs", "pipelines", "requirements", "tests/device"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    with lzma.open(REFERENCE / "wikipedia.txt.xz") as file:
        (checkout / "corpus.txt").write_bytes(file.read())
    run(
        [
            "sh",
            "tests/device/prepare.sh",
            "--corpus=corpus.txt",
            "--vocab=1000",
            "--length=64",
            "--wheels=no",
        ],
        checkout,
        PYTHON=sys.executable,
        PYTHONPATH=checkout,
    )
    return checkout


@pytest.fixture
def run_kit(checkout, tmp_path):
    """Runs run.sh as the GPU host does: (MEASURE_SECONDS, flags, environment) to what it prints."""
    python = os.environ.get("ELECTRA_TF_JAX_PYTHON")
    if not python:
        pytest.skip("ELECTRA_TF_JAX_PYTHON is not set: run `make test-slow`")

    def run_kit(measure_seconds, *flags, **environment) -> str:
        return run(
            [
                "sh",
                "tests/device/run.sh",
                measure_seconds,
                300,
                "--config=configs/electra_small.py",
                *TINY,
                "--eval_examples=64",
                "--log_seconds=0.1",
                *flags,
            ],
            checkout,
            PYTHON=python,
            PYTHONPATH="",
            OUT=tmp_path / "out",
            JAX_PLATFORMS="cpu",
            JAX_COMPILATION_CACHE_DIR=tmp_path / "cache",
            XLA_FLAGS="--xla_backend_optimization_level=0",  # compiles quicker
            **environment,
        )

    return run_kit


@pytest.fixture
def evaluated(checkout, tmp_path, monkeypatch):
    """Gives metrics of the library's evaluation of run.sh's weights: same examples, other draws."""

    def evaluated() -> dict:
        model = tmp_path / "model"
        flags = [f"--pieces={tmp_path / 'out'}", f"--output={model}"]
        with monkeypatch.context() as patch:
            patch.chdir(checkout)
            patch.setattr(sys, "path", [str(checkout / "tests" / "device"), *sys.path])
            patch.setattr(sys, "argv", ["to_model.py", *flags])
            runpy.run_path("tests/device/to_model.py", run_name="__main__")
        (held_out,) = (checkout / "runs" / "gpu").glob("*.heldout")
        return evaluate(str(model), data_dir=str(held_out))

    return evaluated


def test_measured_trained_and_evaluated(run_kit, evaluated, tmp_path):
    out = tmp_path / "out"
    printed = run_kit(200, "--num_steps=40", MEASURE_FLAGS="--jobs=train --timed=0.3")
    measured = json.loads((out / "measure.json").read_text())
    assert measured["left_out"] == [], printed
    assert measured["best"]["ours train"]["tokens_per_second"] > 0
    profile = [line["profile"] for line in measured["results"] if "profile" in line]
    assert profile and profile[0]["operations"]

    result = json.loads((out / "result.json").read_text())
    assert result["complete"] and result["steps"] == 40 and result["skipped"] == 0
    assert result["eval"]["masked_lm_loss"] < result["before"]["masked_lm_loss"]
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["split"] == "eval" and lines[-2]["step"] == 40
    assert {path.name for path in out.iterdir()} == {
        "log.jsonl",
        "measure.json",
        "result.json",
        "weights-40-1-of-1.npz",
    }

    metrics = evaluated()
    for name in ("masked_lm_loss", "disc_loss"):
        assert metrics[name] == pytest.approx(result["eval"][name], rel=0.05)


@pytest.mark.parametrize(
    "name, losses, flags",
    [
        # Two optimizers, each with its own clipping.
        (
            "electra_15",
            ["masked_lm_loss", "disc_loss"],
            ["--config.generator_optimizer.clip_norm=0.5"],
        ),
        ("all_tokens_mlm", ["masked_lm_loss", "all_tokens_loss"], []),
        ("electric", ["cloze_loss", "disc_loss"], []),
    ],
)
def test_other_objectives(run_kit, evaluated, tmp_path, name, losses, flags):
    run_kit(0, "--num_steps=20", f"--config.objective.name={name}", *flags)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["complete"] and result["steps"] == 20 and result["skipped"] == 0
    line = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[0])
    norms = [value for key, value in line.items() if key.startswith("gradient_norm/")]
    assert len(norms) > 1
    assert line["gradient_norm"] ** 2 == pytest.approx(sum(value**2 for value in norms), rel=1e-4)
    metrics = evaluated()
    for loss in losses:
        assert metrics[loss] == pytest.approx(result["eval"][loss], rel=0.05)
