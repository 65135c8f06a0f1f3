"""Runs whose generator does not learn: a ready one that stands still, and none at all."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny_runs

from electra_tf.data import dataset, token_counts

pytestmark = pytest.mark.slow
MIDDLE, END = 5, 10
COMMON = {
    "optimizer.warmup_steps": 0,
    "runtime.deterministic": True,
    "train.num_steps": END,
    "train.checkpoint_steps": MIDDLE,
    "train.eval_steps": END,
}
UNIFORM = COMMON | {"objective.generator": "uniform"}
UNIGRAM = COMMON | {"objective.generator": "unigram", "train.eval_steps": 0}
FROZEN = COMMON | {
    "objective.generator": "frozen",
    "objective.temperature": 2.0,
    "model.sharing": "none",
}


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A run to start from, one of each kind, and continued copies, without the first one."""
    root = tmp_path_factory.mktemp("generators")
    frozen = FROZEN | {"objective.generator_from": str(root / "first")}
    tiny_runs.together(
        data,
        (root / "first", COMMON),
        (root / "frozen", frozen),
        (root / "uniform", UNIFORM),
        (root / "unigram", UNIGRAM),
    )
    source = tiny_runs.saved(tiny_runs.latest(root / "first"))
    shutil.rmtree(root / "first")
    for name in ("frozen", "uniform", "unigram"):
        tiny_runs.rewind(root / name, root / f"{name}_resumed", MIDDLE)
    results = tiny_runs.together(
        data,
        (root / "frozen_resumed", frozen),
        (root / "uniform_resumed", UNIFORM),
        (root / "unigram_resumed", UNIGRAM),
        (root / "uniform", UNIFORM, {"objective.generator": "trained"}),
        (root / "frozen", frozen, {"objective.generator_from": data}),
        (root / "new", frozen),
    )
    return root, source, [result["error"] for result in results]


@pytest.mark.parametrize("name", ["frozen", "uniform", "unigram"])
def test_a_resume_is_exact(runs, name):
    root, _, errors = runs
    assert errors[:3] == [None] * 3
    whole, resumed = (
        tiny_runs.saved(tiny_runs.latest(root / each)) for each in (name, f"{name}_resumed")
    )
    assert whole.keys() == resumed.keys()
    for variable, value in whole.items():
        np.testing.assert_array_equal(value, resumed[variable], err_msg=variable)


def test_the_frozen_generator_is_the_other_runs(runs):
    root, source, _ = runs
    after = tiny_runs.saved(tiny_runs.latest(root / "frozen"))
    compared = 0
    for variable, value in after.items():
        name = variable.replace("/generator_embeddings/", "/embeddings/")
        if variable.startswith("weights/generator"):
            np.testing.assert_array_equal(value, source[name], err_msg=variable)
            compared += 1
        assert not variable.startswith("slots/generator")
    assert compared > 15


def test_metrics_of_no_network(runs):
    root, _, _ = runs
    (evaluated,) = tiny_runs.metrics(root / "uniform", "eval")
    assert evaluated["masked_lm_loss"] == pytest.approx(np.log(tiny_runs.VOCAB_SIZE), rel=1e-5)
    assert json.loads((root / "uniform" / "config.json").read_text())["objective"]["generator"]
    after = tiny_runs.saved(tiny_runs.latest(root / "uniform"))
    assert not [name for name in after if "generator" in name]


def test_counted_tokens_are_those_of_the_files(data):
    split = dataset.open_split(data, "train")
    counts = token_counts.count_tokens(split, tiny_runs.VOCAB_SIZE)
    expected = np.zeros(tiny_runs.VOCAB_SIZE, np.int64)
    for record in tf.data.TFRecordDataset(
        list(split.files), compression_type=""
    ).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        ids, mask = (
            np.array(feature[name].int64_list.value) for name in ("input_ids", "input_mask")
        )
        np.add.at(expected, ids[mask > 0], 1)
    np.testing.assert_array_equal(counts, expected)


def test_a_run_keeps_its_generator(runs):
    _, _, (*_, other_kind, other_source, gone) = runs
    assert "A run must keep its" in other_kind and "Received" in other_kind
    assert "A run must keep what it started from: config.objective.generator_from" in other_source
    assert "must contain config.json" in gone
