"""Runs on a mixture of data sets: continued, on two replicas, evaluated."""

import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tiny_runs

END = 168
OTHER = 91  # training examples of the second data set, and 11 held-out ones
KEPT = {
    "runtime.deterministic": True,
    "train.num_steps": END,
    "train.checkpoint_steps": 24,
    "data.shuffle_examples": 60,
}
TWO = {"runtime.strategy": "mirrored"}
SHORT = {**tiny_runs.NO_DROPOUT, "train.eval_steps": 10, "data.shuffle_examples": 60}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mixture(data, tmp_path_factory) -> dict:
    other = tiny_runs.write_data(tmp_path_factory.mktemp("other") / "shards", OTHER, 11)
    return {"data.dir": "", "data.mixture": json.dumps({data: 2, other: 1})}


@pytest.fixture(scope="module")
def root(data, mixture, tmp_path_factory):
    """The same run whole, and killed on its way; short ones on one replica and on two."""
    root = tmp_path_factory.mktemp("mixtures")
    with tiny_runs.Worker(data) as do:
        killed = root / "killed", mixture, KEPT
        do.kill_in(killed, lambda: tiny_runs.last_step(root / "killed") >= 60)
        assert tiny_runs.last_step(root / "killed") < END
        done = do(
            killed,
            (root / "whole", mixture, KEPT),
            (root / "one", mixture, SHORT),
            (root / "two", mixture, SHORT, TWO),
            (root / "alone", SHORT),
        )
        tiny_runs.rewind(root / "one", root / "to_two", 10)
        done += do((root / "to_two", mixture, SHORT, TWO))
    assert not [each["error"] for each in done if each["error"]]
    return root


def test_killed_and_continued_is_never_interrupted(root):
    """Bit for bit, with dropout, over several epochs of both data sets."""
    values, others = (
        tiny_runs.saved(f"{root}/{name}/checkpoints/ckpt-{END}") for name in ("whole", "killed")
    )
    assert values.keys() == others.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


@pytest.mark.parametrize("name", ["two", "to_two"])
def test_two_replicas_equal_one_to_rounding(root, name):
    expected, got, alone = (
        tiny_runs.saved(f"{root}/{each}/checkpoints/ckpt-20") for each in ("one", name, "alone")
    )
    for variable, value in expected.items():
        np.testing.assert_allclose(got[variable], value, rtol=1e-5, atol=1e-6, err_msg=variable)
    moved = max(np.abs(alone[each] - expected[each]).max() for each in expected)
    assert moved > 1e-2  # another data set makes another model
    lines, others = (tiny_runs.metrics(root / each) for each in ("one", name))
    for line, other in zip(lines, others, strict=True):
        assert other["loss"] == pytest.approx(line["loss"], rel=1e-4)


def evaluate(workdir, *arguments) -> dict:
    command = [sys.executable, "-m", "electra_tf", "evaluate", f"--workdir={workdir}"]
    tiny_runs.run([*command, *arguments])
    return json.loads((pathlib.Path(workdir) / "eval.json").read_text())


def test_evaluation_takes_the_held_out_examples_of_all_or_of_one(root, mixture):
    metrics = evaluate(root / "one", "--random_words")
    assert metrics["examples"] == 37 + 11
    last = tiny_runs.metrics(root / "one", "eval")[-1]
    for name in ("masked_lm_loss", "disc_loss"):
        assert metrics[name] == pytest.approx(last[name], rel=1e-5)
    _, other = json.loads(mixture["data.mixture"])
    alone = evaluate(root / "one", f"--data_dir={other}")
    assert alone["examples"] == 11 and alone["disc_loss"] != metrics["disc_loss"]


def test_a_report_shows_both_data_sets(root, mixture, tmp_path):
    workdir = shutil.copytree(root / "one", tmp_path / "run")
    output = tmp_path / "report.html"
    command = [sys.executable, "-m", "electra_tf", "report", f"--run={workdir}"]
    tiny_runs.run([*command, f"--output={output}"])
    text = output.read_text()
    for directory, share in zip(json.loads(mixture["data.mixture"]), ("0.667", "0.333")):
        assert f"{directory}: {share} of the training examples" in text
