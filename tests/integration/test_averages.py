"""Averages of weights: kept while training, evaluated, read from the run; means of checkpoints."""

import shutil
import sys

import numpy as np
import pytest
import tiny_runs

from electra_tf import config as configuration
from electra_tf.errors import UserError
from electra_tf.saved import model_directory

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "electra_tf"]
DECAY = 0.5
STEPS = 12
FIELDS = {
    **tiny_runs.NO_DROPOUT,
    "train.num_steps": STEPS,
    "train.checkpoint_steps": 1,
    "train.keep_checkpoints": STEPS,
    "train.eval_steps": STEPS,
}
AVERAGED = {**FIELDS, "train.average_decay": DECAY}
STARTED = {"train.num_steps": 1}
TWO = {"runtime.strategy": "mirrored"}
STAGES = {
    "objective.name": "two_stage",
    "objective.generator_steps": 5,
    "model.sharing": "none",
    "generator.hidden_fraction": 1.0,
    "generator.num_heads": 2,
    "generator.intermediate_size": 64,
    "generator.embedding_size": 16,
}


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """The same training without averages, with them, on two replicas, compiled, continued.

    And another one that starts from it.
    """
    root = tmp_path_factory.mktemp("averages")
    seen = tiny_runs.together(
        data,
        (root / "plain", FIELDS),
        (root / "averaged", AVERAGED),
        (root / "two", AVERAGED, TWO),
        (root / "compiled", AVERAGED, {"runtime.xla": "true"}),
        (root / "stages", AVERAGED, STAGES),
        exact_noise=True,
    )
    tiny_runs.rewind(root / "averaged", root / "continued", 6)
    seen += tiny_runs.together(
        data,
        (root / "continued", AVERAGED),
        *(
            (root / name, fields, STARTED | {"init_from": str(root / "averaged")})
            for name, fields in (("started", FIELDS), ("started_averaged", AVERAGED))
        ),
        exact_noise=True,
    )
    assert not any(each["error"] for each in seen), seen
    return root


def checkpoint(root, name, step=STEPS):
    return tiny_runs.saved(f"{root}/{name}/checkpoints/ckpt-{step}")


def of_kind(saved, kind):
    return {
        name.removeprefix(kind): value for name, value in saved.items() if name.startswith(kind)
    }


def test_the_averages_follow_the_weights(runs):
    """By the recursion that they are defined by, over the weights after each step."""
    for name, value in of_kind(checkpoint(runs, "plain"), "weights/").items():
        trained = checkpoint(runs, "averaged")[f"weights/{name}"]
        np.testing.assert_array_equal(trained, value, err_msg=name)  # they change no training
    averages = of_kind(checkpoint(runs, "averaged", 1), "averages/")
    fresh = None
    for step in range(1, STEPS + 1):
        saved = checkpoint(runs, "averaged", step)
        weights = of_kind(saved, "weights/")
        decay = min(DECAY, step / (step + 9))
        if fresh is None:  # a tenth of the initial weights is in the first averages
            fresh = {name: 10 * averages[name] - 9 * weights[name] for name in weights}
            expected = fresh
        expected = {
            name: decay * expected[name] + (1 - decay) * value for name, value in weights.items()
        }
        for name, value in of_kind(saved, "averages/").items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    last = of_kind(checkpoint(runs, "averaged"), "weights/")
    assert sum(np.abs(expected[name] - value).max() > 1e-4 for name, value in last.items()) > 20


@pytest.mark.parametrize("name", ["two", "compiled"])
def test_replicas_and_compilation_change_nothing(runs, name):
    one, other = checkpoint(runs, "averaged"), checkpoint(runs, name)
    assert one.keys() == other.keys()
    for path, value in of_kind(one, "averages/").items():
        if "qkv/bias" not in path:  # keys' gradient there is rounding
            np.testing.assert_allclose(
                other[f"averages/{path}"], value, rtol=1e-3, atol=1e-4, err_msg=path
            )


def test_a_resumed_run_has_the_same_bits(runs):
    whole, continued = checkpoint(runs, "averaged"), checkpoint(runs, "continued")
    assert whole.keys() == continued.keys()
    for path, value in whole.items():
        np.testing.assert_array_equal(continued[path], value, err_msg=path)


def test_all_but_training_reads_the_averages(runs):
    averages = of_kind(checkpoint(runs, "averaged"), "averages/")
    weights = model_directory.read(str(runs / "averaged")).weights
    assert weights.keys() == averages.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, averages[name], err_msg=name)
    losses = {
        name: tiny_runs.metrics(runs / name, "eval")[0]["disc_loss"]
        for name in ("plain", "averaged", "started")  # which is evaluated before its first step
    }
    assert losses["started"] == pytest.approx(losses["averaged"], rel=1e-6)
    assert losses["averaged"] != pytest.approx(losses["plain"], rel=1e-5)


def test_averages_begin_where_the_run_does(runs):
    source = of_kind(checkpoint(runs, "averaged"), "averages/")
    saved = checkpoint(runs, "started_averaged", 1)
    weights, averages = (of_kind(saved, kind) for kind in ("weights/", "averages/"))
    for name, value in averages.items():
        expected = 0.1 * source[name] + 0.9 * weights[name]
        np.testing.assert_allclose(value, expected, atol=1e-6, err_msg=name)
    before = [
        tiny_runs.metrics(runs / name, "eval")[0]["disc_loss"]
        for name in ("started", "started_averaged")
    ]
    assert before[0] == pytest.approx(before[1], rel=1e-6)


def test_the_second_of_two_stages_begins_its_averages(runs):
    """Where its discriminator becomes a copy of the generator, the averages do, too."""
    before, after = checkpoint(runs, "stages", 5), checkpoint(runs, "stages", 6)
    kernel = "layer_0/attention/qkv/kernel"
    begun = before[f"weights/generator/{kernel}"]
    weight = after[f"weights/discriminator/{kernel}"]
    average = after[f"averages/discriminator/{kernel}"]
    np.testing.assert_allclose(average, 0.1 * begun + 0.9 * weight, atol=1e-6)
    frozen = of_kind(before, "averages/generator/")
    for name, value in of_kind(after, "averages/generator/").items():
        np.testing.assert_array_equal(value, frozen[name], err_msg=name)


def test_a_run_without_averages_goes_on_without(runs, data):
    command = tiny_runs.command(data, runs / "plain", AVERAGED, {"train.num_steps": STEPS + 1})
    said = tiny_runs.run(command, code=1).stderr
    assert "config.train.average_decay was 0.0 in" in said and "Received: 0.5" in said


def test_the_mean_of_checkpoints(runs, tmp_path):
    tiny_runs.run(
        [
            *COMMAND,
            "convert",
            f"--input={runs / 'plain'}",
            "--input_format=electra_tf",
            "--average_checkpoints=3",
            f"--output={tmp_path / 'mean'}",
        ]
    )
    read = model_directory.read(str(tmp_path / "mean"))
    assert read.step == STEPS
    last = [of_kind(checkpoint(runs, "plain", STEPS - ago), "weights/") for ago in range(3)]
    for name, value in read.weights.items():
        expected = np.mean([weights[name] for weights in last], axis=0)
        np.testing.assert_allclose(value, expected, atol=1e-7, err_msg=name)
    assert configuration.load(str(tmp_path / "mean")) == configuration.load(str(runs / "plain"))
    lost = shutil.copytree(runs / "plain", tmp_path / "lost")
    (lost / "checkpoints" / "checkpoint").unlink()
    again = model_directory.read(str(lost), 3).weights
    for name, value in read.weights.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    with pytest.raises(UserError, match=r"must be 20 checkpoints to average; .* with 12"):
        model_directory.read(str(runs / "plain"), 20)
