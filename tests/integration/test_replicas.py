"""One replica = two replicas = accumulated micro-batches, and nothing is counted twice."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny_runs

TWO = {"runtime.strategy": "mirrored"}
ACCUMULATED = {"train.accumulation_steps": 2}
EVALUATED = {**tiny_runs.NO_DROPOUT, "train.eval_steps": 10}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The same 20 steps on one replica, on two, with accumulation; and continued from step 10.

    `owing` was stopped in its last evaluation: the next start makes up for it.
    """
    root = tmp_path_factory.mktemp("replicas")
    with tiny_runs.Worker(data) as do:
        first = do(
            (root / "one", EVALUATED),
            (root / "two", EVALUATED, TWO),
            (root / "accumulated", EVALUATED, ACCUMULATED),
        )
        for name in ("to_two", "to_accumulated"):
            tiny_runs.rewind(root / "one", root / name, 10)
        shutil.copytree(root / "one", root / "owing")
        lines = [
            line
            for line in tiny_runs.metrics(root / "one")
            if (line["step"], line["split"]) != (20, "eval")
        ]
        (root / "owing" / "metrics.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines)
        )
        second = do(
            (root / "to_two", EVALUATED, TWO),
            (root / "to_accumulated", EVALUATED, TWO, ACCUMULATED),
            (root / "owing", EVALUATED, TWO),
        )
    names = ("one", "two", "accumulated", "to_two", "to_accumulated", "owing")
    return root, dict(zip(names, first + second, strict=True))


@pytest.mark.parametrize("name", ["two", "accumulated", "to_two", "to_accumulated", "owing"])
def test_equal_to_rounding(finished, name):
    root, seen = finished
    assert seen[name]["error"] is None
    expected = tiny_runs.saved(f"{root}/one/checkpoints/ckpt-20")
    start = tiny_runs.saved(f"{root}/one/checkpoints/ckpt-5")
    got = tiny_runs.saved(f"{root}/{name}/checkpoints/ckpt-20")
    assert got.keys() == expected.keys()
    for variable, value in expected.items():
        np.testing.assert_allclose(got[variable], value, rtol=1e-5, atol=1e-6, err_msg=variable)
    moved = max(
        np.abs(start[variable] - value).max()
        for variable, value in expected.items()
        if variable.startswith("weights/")
    )
    assert moved > 1e-2  # the tolerance is small against what training changes

    lines, others = tiny_runs.metrics(root / "one"), tiny_runs.metrics(root / name)
    assert [(line["step"], line["split"]) for line in lines] == [
        (5, "train"),
        (10, "train"),
        (10, "eval"),
        (15, "train"),
        (20, "train"),
        (20, "eval"),
    ]
    for line, other in zip(lines, others, strict=True):
        assert line.keys() == other.keys()
        for metric in line.keys() - {"split", "tokens_per_second"}:
            if line[metric] is None:
                assert other[metric] is None
            else:
                rel = 1e-4 if metric == "gradient_norm" else 1e-5
                assert other[metric] == pytest.approx(line[metric], rel=rel, abs=1e-6), metric


@pytest.mark.parametrize("name", ["one", "two", "accumulated"])
def test_every_example_counts_once(data, finished, name):
    tokens = {}
    for split in ("train", "eval"):
        records = tf.data.TFRecordDataset(f"{data}/{split}-00000-of-00001.tfrecord")
        examples = [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]
        tokens[split] = sum(
            sum(example.features.feature["input_mask"].int64_list.value) for example in examples
        )
    counted = finished[1][name]["tokens"]  # in the order of metrics.jsonl
    assert counted[2] == counted[5] == tokens["eval"]
    assert sum(counted) - 2 * tokens["eval"] == tokens["train"]  # 20 steps are one epoch


@pytest.mark.parametrize(
    "name, traces",
    [
        ("one", 1),
        ("two", 2),
        ("accumulated", 2),
        ("to_two", 2),
        ("to_accumulated", 4),
        ("owing", 0),
    ],
)
def test_the_step_is_traced_once_per_replica(finished, name, traces):
    """Accumulation has the first micro-batch and the loop over the others."""
    assert finished[1][name]["traces"] == traces


def test_metrics_have_the_names_of_the_evaluation(finished):
    names = {
        "step",
        "split",
        "loss",
        "masked_lm_loss",
        "masked_lm_accuracy",
        "sampled_masked_lm_accuracy",
        "disc_loss",
        "disc_accuracy",
        "disc_precision",
        "disc_recall",
        "disc_auc",
        "learning_rate",
        "tokens_per_second",
    }
    for line in tiny_runs.metrics(finished[0] / "one"):
        of_training = {"gradient_norm"} if line["split"] == "train" else set()
        assert line.keys() == names | of_training
