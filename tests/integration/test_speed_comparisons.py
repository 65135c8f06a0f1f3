"""The comparisons with transformers on PyTorch run, and their figures fit together."""

import json
import math
import os
import statistics
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
FOLDER = ROOT / "tests" / "integration"


def run(program, *arguments) -> str:
    result = subprocess.run(
        [sys.executable, str(FOLDER / program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=1800,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


@pytest.mark.parametrize(
    "shape, rows, vocab_size", [("quickstart:4x16", [], 4000), ("small:4x64", ["--rows"], 30522)]
)
def test_training_steps(interop_python, tmp_path, shape, rows, vocab_size):
    output = tmp_path / "figures.json"
    printed = run(
        "training_speed.py",
        f"--shapes={shape}",
        "--precisions=float32",
        "--layers=1",
        "--rounds=2",
        "--seconds=0.01",
        "--compile_seconds=0.1",
        f"--peer_python={interop_python}",
        f"--output={output}",
        *rows,
    )
    (result,) = json.loads(output.read_text())["results"]
    assert result["left_out"] == {"compiled": "not ready within 0 s"}
    assert "left out: not ready within 0 s" in printed
    ours, theirs = (result["sides"][name] for name in ("ours", "plain"))
    for side in (ours, theirs):
        # An untrained generator guesses among all words, the discriminator is about undecided.
        assert side["first_loss"] == pytest.approx(math.log(vocab_size) + 50 * math.log(2), rel=0.1)
        assert len(side["step_seconds"]) == 2 and 0 < side["peak_share"] < 1
    assert (result["padding"] > 0) == bool(rows) and result["padding"] < 0.9
    if not rows:
        speed = statistics.median(4 * 16 / seconds for seconds in ours["step_seconds"])
        assert ours["tokens_per_second"] == pytest.approx(speed)
    each = [their / our for our, their in zip(ours["step_seconds"], theirs["step_seconds"])]
    assert f"| {statistics.median(each):.2f} | {min(each):.2f}–{max(each):.2f} |" in printed


def test_fine_tuning(interop_python, tmp_path, uncased_vocab_file):
    data = tmp_path / "MRPC"
    data.mkdir()
    for split, number in (("train", 48), ("dev", 12), ("test", 12)):
        rows = [
            f"{index % 2}\t{index}\t{index}\tThe cat sat.\tThe {'cat' if index % 2 else 'dog'} sat."
            for index in range(number)
        ]
        lines = ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *rows]
        (data / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    output = tmp_path / "figures.json"
    printed = run(
        "finetuning_speed.py",
        f"--data={data}",
        f"--vocab={uncased_vocab_file}",
        "--epochs=8",
        "--group_by_length",
        f"--peer_python={interop_python}",
        f"--output={output}",
    )
    figures = json.loads(output.read_text())
    (ours,), (theirs,) = figures["ours"], figures["transformers"]
    assert ours["steps"] == theirs["steps"] == 8 * 2 * 48 / 32  # both orders of each pair
    for side in (ours, theirs):
        assert 0 < side["step_seconds"] < side["seconds"]
    assert f"{theirs['seconds'] / ours['seconds']:.2f} |" in printed
