"""Starting a run from another model: `config.init_from`."""

import json
import shutil
import sys

import pytest
import tiny_runs

import electra_tf
from electra_tf.conversion import convert
from electra_tf.saved import model_directory

EVALUATED = {"train.num_steps": 10, "train.eval_steps": 10}
OTHER_SIZES = {"model.hidden_size": 64, "model.num_layers": 3, "generator.hidden_fraction": 0.25}
TWO, FEW = {"runtime.strategy": "mirrored"}, {"train.num_steps": 5}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A run of 10 steps, converted there and back, runs that start from it, and their Worker."""
    root = tmp_path_factory.mktemp("init_from")
    first, model, headless = root / "first", root / "model", root / "discriminator"
    with tiny_runs.Worker(data) as do:
        do((first, EVALUATED))
        convert(str(first), "electra_tf", str(root / "google"), "google")
        convert(str(root / "google"), "google", str(model), "electra_tf")
        pretrained = model_directory.read(str(model))
        pretrained.weights = {
            path: value
            for path, value in pretrained.weights.items()
            if not path.startswith("generator")
        }
        model_directory.write(pretrained, str(headless))
        restart = {"init_from": str(model), "train.eval_steps": 50, **OTHER_SIZES}
        proceed = restart | {"init_schedule": "continue"}
        fresh_generator = {"init_from": str(headless), "generator.hidden_fraction": 0.25}
        results = do(
            (root / "restart", restart, FEW),
            (root / "continue", proceed),
            (root / "two", restart, TWO, FEW),
            (root / "fresh_generator", restart, fresh_generator, FEW),
            (root / "no_step_left", proceed, {"train.num_steps": 10}),
            (root / "other_objective", restart, {"objective.name": "mlm"}),
            (model, {"model.hidden_size": 32}),
        )
        yield root, results, do


def test_the_first_evaluation_is_the_models(data, runs):
    """Step 0 of the new run, the last step of the old one, and `evaluate` agree."""
    root, results, _ = runs
    assert [result["error"] for result in results[:4]] == [None] * 4
    (before,) = tiny_runs.metrics(root / "first", "eval")
    tiny_runs.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "evaluate",
            f"--workdir={root / 'model'}",
            f"--data_dir={data}",
        ]
    )
    evaluated = json.loads((root / "model" / "eval.json").read_text())
    for name in ("restart", "continue", "two"):
        after = tiny_runs.metrics(root / name, "eval")[0]
        assert after["step"] == (10 if name == "continue" else 0)
        for metric in ("masked_lm_loss", "disc_loss", "disc_auc"):
            assert after[metric] == pytest.approx(before[metric], rel=1e-5), (name, metric)
            assert after[metric] == pytest.approx(evaluated[metric], rel=1e-5), (name, metric)


def test_steps_restart_or_continue(runs):
    """The uninterrupted run's second half and a continued one see the same rates."""
    root, _, _ = runs
    rates = {
        name: {
            line["step"]: line["learning_rate"] for line in tiny_runs.metrics(root / name, "train")
        }
        for name in ("restart", "continue")
    }
    assert list(rates["restart"]) == [5] and list(rates["continue"]) == [15, 20]
    assert rates["continue"][15] == pytest.approx(3e-3 * (1 - 15 / 20))
    assert rates["restart"][5] == pytest.approx(0.0)  # its own 5 steps are over


def test_sizes_are_the_models(runs):
    root, _, _ = runs
    config = json.loads((root / "restart" / "config.json").read_text())
    assert config["model"]["hidden_size"] == tiny_runs.TINY["model.hidden_size"]
    assert config["generator"]["hidden_fraction"] == tiny_runs.TINY["generator.hidden_fraction"]


def test_a_missing_generator_starts_fresh(runs):
    root, _, _ = runs
    trained = tiny_runs.metrics(root / "first", "eval")[0]
    started = tiny_runs.metrics(root / "fresh_generator", "eval")[0]
    assert started["masked_lm_loss"] > trained["masked_lm_loss"]
    fresh = tiny_runs.saved(tiny_runs.latest(root / "fresh_generator"))
    assert fresh["weights/generator/layer_0/attention/qkv/kernel"].shape == (8, 24)
    loaded = electra_tf.load(str(root / "discriminator"))
    assert loaded.generator is None and loaded.generator_head is None


def test_what_does_not_fit_is_refused(runs):
    root, results, _ = runs
    no_step_left, other_objective, without_optimizer = (result["error"] for result in results[4:])
    assert "train.num_steps must be more than the steps" in no_step_left
    assert "config.objective.name must be that of config.init_from, electra" in other_objective
    assert "must have the optimizer's state" in without_optimizer
    assert "--config.init_from" in without_optimizer
    assert not (root / "no_step_left").exists() and not (root / "other_objective").exists()


def test_another_vocabulary_is_refused_and_a_started_run_needs_its_model_no_more(runs, tmp_path):
    root, _, do = runs
    model, started = tmp_path / "model", tmp_path / "started"
    shutil.copytree(root / "restart", started)
    shutil.copytree(root / "model", model)
    text = (model / "vocab.txt").read_text()
    (model / "vocab.txt").write_text(text.replace("word7\n", "sword\n"))
    (root / "model").rename(root / "gone")
    longer = {"train.num_steps": 10}
    other, elsewhere, gone = do(
        (tmp_path / "new", {"init_from": str(model)}),
        (started, OTHER_SIZES, {"init_from": str(tmp_path / "nowhere")}, longer),
        (started, OTHER_SIZES, {"init_from": str(root / "model")}, longer),
    )
    assert "must keep the vocabulary" in other["error"]
    assert f"{model / 'vocab.txt'}" in other["error"]
    assert "must keep what it started from: config.init_from was" in elsewhere["error"]
    assert gone["error"] is None and tiny_runs.last_step(started) == 10
