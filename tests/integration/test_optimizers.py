"""Optimizers with slots of other shapes in whole runs: replicas, resume, schedules."""

import numpy as np
import pytest
import tiny_runs

pytestmark = pytest.mark.slow
# Matrices by Muon, the others by Adam; factored slots beside whole ones and scalars.
OPTIMIZERS = {
    "muon": {"optimizer.name": "keras:Muon", "optimizer.schedule": "warmup_stable_decay"},
    "adafactor": {"optimizer.name": "keras:Adafactor", "optimizer.schedule": "cosine"},
}
SHORT = {**tiny_runs.NO_DROPOUT, "train.eval_steps": 0, "train.num_steps": 10}
TWO = {"runtime.strategy": "mirrored", "train.accumulation_steps": 2}


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Each optimizer on one replica, on two with accumulation, and continued from step 5."""
    root = tmp_path_factory.mktemp("optimizers")
    seen = tiny_runs.together(
        data,
        *((root / f"{name}_one", SHORT, OPTIMIZERS[name]) for name in OPTIMIZERS),
        *((root / f"{name}_two", SHORT, OPTIMIZERS[name], TWO) for name in OPTIMIZERS),
    )
    for name in OPTIMIZERS:
        tiny_runs.rewind(root / f"{name}_one", root / f"{name}_continued", 5)
    seen += tiny_runs.together(
        data, *((root / f"{name}_continued", SHORT, OPTIMIZERS[name]) for name in OPTIMIZERS)
    )
    assert not any(each["error"] for each in seen), seen
    return root


def checkpoint(root, name, step=10):
    return tiny_runs.saved(f"{root}/{name}/checkpoints/ckpt-{step}")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replicas_and_accumulation_change_nothing(runs, name):
    start, one = checkpoint(runs, f"{name}_one", 5), checkpoint(runs, f"{name}_one")
    two = checkpoint(runs, f"{name}_two")
    assert one.keys() == two.keys()
    for path, value in one.items():
        # Softmax ignores the keys' bias: its gradient is rounding, which Adafactor scales up.
        if "qkv/bias" not in path:
            np.testing.assert_allclose(two[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
    moved = [
        path for path in one if path.startswith("weights/") and (one[path] != start[path]).any()
    ]
    assert len(moved) > 20


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_has_the_same_bits(runs, name):
    whole, continued = checkpoint(runs, f"{name}_one"), checkpoint(runs, f"{name}_continued")
    assert whole.keys() == continued.keys()
    for path, value in whole.items():
        np.testing.assert_array_equal(continued[path], value, err_msg=path)


def test_slots_are_saved_by_path_and_name(runs):
    kernel = "slots/discriminator/layer_0/attention/qkv/kernel"
    saved = checkpoint(runs, "adafactor_one")
    names = {path.removeprefix(f"{kernel}/") for path in saved if path.startswith(kernel)}
    assert names == {"slot_0", "slot_1", "velocity"}
    rows, columns = (saved[f"{kernel}/slot_{number}"] for number in (0, 1))
    assert saved[f"{kernel}/velocity"].shape[:-1] == rows.shape
    assert rows.ndim == columns.ndim
