"""Runs with terms added to ELECTRA's loss: their heads are there or not, and nothing is silent."""

import numpy as np
import pytest
import tiny_runs

import electra_tf
from electra_tf.config import Config
from electra_tf.conversion import convert
from electra_tf.runs.evaluation import evaluate
from electra_tf.saved import model_directory

pytestmark = pytest.mark.slow
HEADS = ["corrective_head", "selection_head"]
END = {"train.num_steps": 10, "train.eval_steps": 10}
ADDED = {
    "objective.contrastive_weight": 1.0,
    "objective.contrastive_rows": 6,
    "objective.corrective_weight": 1.0,
    "objective.selection_weight": 1.0,
}
TWO = {"runtime.strategy": "mirrored"}


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Runs with and without them, started from each other and from a model without their heads."""
    root = tmp_path_factory.mktemp("additions")
    short = {"train.num_steps": 1, "train.eval_steps": 1}
    without = {"init_from": str(root / "added")}
    with tiny_runs.Worker(data) as do:
        do((root / "added", END, ADDED))
        headless = model_directory.read(str(root / "added")).without(HEADS)
        headless.config.runtime = Config().runtime  # what evaluates it keeps its own devices
        model_directory.write(headless, str(root / "headless"))
        results = do(
            (root / "again", short, ADDED, {"init_from": str(root / "added")}),
            (root / "fresh", short, ADDED, {"init_from": str(root / "headless")}),
            (root / "without", short, without),
            (root / "without", {"train.num_steps": 20}, ADDED, without),
            (root / "two", short, ADDED, TWO, {"objective.contrastive_rows": 12}),
        )
    return root, [result["error"] for result in results]


def scopes_of(workdir):
    saved = tiny_runs.saved(tiny_runs.latest(workdir))
    return {name.split("/")[1] for name in saved if name.startswith("weights/")}


def test_a_run_starts_with_the_heads_that_there_are(runs):
    root, errors = runs
    assert errors[:3] == [None] * 3
    [before] = tiny_runs.metrics(root / "added", "eval")
    again, fresh, without = (
        tiny_runs.metrics(root / name, "eval")[0] for name in ("again", "fresh", "without")
    )
    losses = {f"{name}_loss" for name in ("contrastive", "corrective", "selection")}
    assert losses | {"cls_cosine", "contrastive_accuracy", "corrective_accuracy"} <= before.keys()
    for name in (*losses, "disc_loss", "masked_lm_loss", "loss"):
        assert again[name] == pytest.approx(before[name], rel=1e-5), name
    assert fresh["disc_loss"] == pytest.approx(before["disc_loss"], rel=1e-5)
    assert fresh["corrective_loss"] > before["corrective_loss"]
    assert not losses & without.keys()
    assert {*HEADS} <= scopes_of(root / "fresh") and not {*HEADS} & scopes_of(root / "without")


def test_a_run_keeps_its_heads(runs):
    root, errors = runs
    assert "A run must keep its networks, which in" in errors[3]
    assert "Received: corrective_head, discriminator, " in errors[3]
    assert tiny_runs.last_step(root / "without") == 1


def test_groups_of_rows_that_a_device_has_not_are_refused(runs):
    root, errors = runs
    assert "contrastive_rows must divide the rows of a micro-batch of a device" in errors[4]
    assert "Received: 12, which does not divide 6; 2, 3, 6 would" in errors[4]
    assert not (root / "two").exists()


def test_an_evaluation_without_the_heads_tells_so(runs, data, logged):
    root, _ = runs
    [before] = tiny_runs.metrics(root / "added", "eval")
    metrics = evaluate(str(root / "headless"), data_dir=data)
    assert any(
        "evaluated with fresh weights: corrective_head, selection_head" in line for line in logged()
    )
    for name in ("disc_loss", "contrastive_loss", "cls_cosine"):
        assert metrics[name] == pytest.approx(before[name], rel=1e-4), name
    assert metrics["corrective_loss"] > before["corrective_loss"]
    assert electra_tf.load(str(root / "headless")).corrective_head is None
    assert electra_tf.load(str(root / "added")).corrective_head is not None


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
def test_other_formats_leave_the_heads_out_and_tell_so(runs, tmp_path, output_format):
    root, _ = runs
    there, back, said = tmp_path / "there", tmp_path / "back", []
    convert(str(root / "added"), "electra_tf", str(there), output_format, say=said.append)
    assert said[0].startswith("Left out corrective_head, selection_head, which only training needs")
    convert(str(there), output_format, str(back), "electra_tf", say=lambda line: None)
    former, read = (model_directory.read(str(each)) for each in (root / "added", back))
    assert read.weights.keys() == former.without(HEADS).weights.keys()
    for path, value in read.weights.items():
        np.testing.assert_array_equal(value, former.weights[path], err_msg=path)
