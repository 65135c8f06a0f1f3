"""Runs whose batches grow: the same steps as with such batches alone, replicas, resume."""

import numpy as np
import pytest
import tiny_runs

from electra_tf.config import Config
from electra_tf.tasks.pretraining import PretrainingTask

pytestmark = pytest.mark.slow
STEPS, WARMUP = 12, "[[4, 4], [8, 6]]"
FIELDS = {
    **tiny_runs.NO_DROPOUT,
    "train.num_steps": STEPS,
    "train.checkpoint_steps": 1,
    "train.keep_checkpoints": STEPS,
    "train.log_steps": 3,
    "train.eval_steps": 0,
}
GROWING = {**FIELDS, "train.batch_warmup": WARMUP}
RESUMED = (3, 4, 6)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("growing")
    seen = tiny_runs.together(
        data,
        (root / "growing", GROWING),
        (root / "small", FIELDS, {"train.batch_size": 4}),
        (root / "two", GROWING, {"runtime.strategy": "mirrored", "train.accumulation_steps": 1}),
    )
    for step in RESUMED:
        tiny_runs.rewind(root / "growing", root / str(step), step)
    seen += tiny_runs.together(data, *((root / str(step), GROWING) for step in RESUMED))
    assert not any(each["error"] for each in seen), seen
    assert [each["traces"] for each in seen] == [3, 1, 6, 3, 2, 2]  # each replica traces
    return root


def checkpoint(root, name, step=STEPS):
    return tiny_runs.saved(f"{root}/{name}/checkpoints/ckpt-{step}")


def same_bits(saved, other):
    assert saved.keys() == other.keys()
    for path, value in saved.items():
        np.testing.assert_array_equal(other[path], value, err_msg=path)


def test_the_first_steps_are_those_of_small_batches(runs):
    same_bits(checkpoint(runs, "small", 4), checkpoint(runs, "growing", 4))
    weights = [checkpoint(runs, name, 5) for name in ("small", "growing")]
    assert any((weights[0][path] != value).any() for path, value in weights[1].items())


@pytest.mark.parametrize("step", RESUMED)
def test_a_resumed_run_has_the_same_bits(runs, step):
    same_bits(checkpoint(runs, "growing"), checkpoint(runs, str(step)))


def test_replicas_change_nothing(runs):
    one, two = checkpoint(runs, "growing"), checkpoint(runs, "two")
    assert one.keys() == two.keys()
    for path, value in one.items():
        if "qkv/bias" not in path:  # the gradient of keys' bias is rounding
            np.testing.assert_allclose(two[path], value, rtol=1e-3, atol=1e-4, err_msg=path)


def test_no_example_is_left_out_or_comes_twice(data):
    def rows(steps, **train):
        config = Config.from_file("configs/electra_small.py")
        for name, value in tiny_runs.TINY.items():
            section, field = name.split(".")
            setattr(getattr(config, section), field, value)
        config.data.dir = data
        for name, value in train.items():
            setattr(config.train, name, value)
        task = PretrainingTask(config)
        return np.concatenate([task.train_batch(step)["input_ids"] for step in range(steps)])

    growing = rows(12, batch_warmup=WARMUP)
    assert growing.shape[0] == 4 * 4 + 4 * 6 + 4 * 12
    np.testing.assert_array_equal(growing, rows(44, batch_size=2))
