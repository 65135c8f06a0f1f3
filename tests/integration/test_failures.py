"""What goes wrong, and the precisions: numbers that are not finite, settings that do not fit."""

import numpy as np
import pytest
import tiny_runs

from electra_tf.data import dataset

HALF = {"runtime.precision": "mixed_float16"}
MORE = {"train.num_steps": 13}


@pytest.fixture(scope="module")
def root(data, tmp_path_factory):
    """`start`: a run that has come to step 10 of 20."""
    root = tmp_path_factory.mktemp("failures")
    tiny_runs.together(data, (root / "start", {"train.num_steps": 10}))
    return root


def test_not_a_number_stops_before_the_update(data, root):
    def plant(array):
        return np.full_like(array, np.nan)

    workdir = root / "nan"
    tiny_runs.rewind(root / "start", workdir, 10, **{"weights/discriminator_head": plant})
    stopped = tiny_runs.run(tiny_runs.command(data, workdir, {"train.log_steps": 1}), code=1).stderr
    error = stopped.splitlines()[-1]
    path = f"{workdir}/nonfinite_step_10.npz"
    assert error.startswith(
        "error: Loss and gradient must be finite. Received: gradient norm nan "
        f"at step 10; nothing was updated, the batch is in {path}."
    )
    assert "Traceback" not in stopped
    assert tiny_runs.latest(workdir).endswith("ckpt-10")
    assert tiny_runs.last_step(workdir) == 10
    expected = dataset.batch_at(
        dataset.open_split(data, "train"), seed=0, batch_size=12, step=10, shuffle_examples=1000
    )
    kept = np.load(path)
    assert sorted(kept.files) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(kept[name], value)


@pytest.mark.slow
def test_precisions(data, root):
    """float16 skips what overflows; when it cannot help any more, the run stops."""
    overflowing, hopeless = root / "overflowing", root / "hopeless"
    tiny_runs.rewind(root / "start", overflowing, 10, loss_scale=lambda scale: scale * 2.0**80)
    # Of the 58 masked tokens held out each sample counts; with this seed no near tie is decided
    # otherwise in 16 bits.
    shared = {"train.num_steps": 60, "train.log_steps": 10, "train.eval_steps": 60, "train.seed": 1}
    results = tiny_runs.together(
        data,
        (overflowing, HALF, MORE),
        (hopeless, HALF, {"objective.discriminator_weight": 1e12, "train.log_steps": 1}),
        (root / "half", HALF, shared),
        (root / "brain", {"runtime.precision": "mixed_bfloat16"}, shared),
        (root / "single", shared),
    )

    # Three steps of overflow: counted, nothing updated, the scale halved each time.
    assert results[0]["error"] is None
    before = tiny_runs.saved(f"{root}/start/checkpoints/ckpt-10")
    after = tiny_runs.saved(f"{overflowing}/checkpoints/ckpt-13")
    assert after.pop("step") == before.pop("step") + 3
    assert after.pop("loss_scale") == before.pop("loss_scale") * 2.0**77
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)

    # From 2^15 to 1 are 15 steps; the sixteenth overflow is the loss's own.
    assert "at step 15; nothing was updated" in results[1]["error"]
    assert tiny_runs.last_step(hopeless) == 15
    assert [result["error"] for result in results[2:]] == [None] * 3

    single = tiny_runs.metrics(root / "single")
    assert single[-1]["loss"] < single[0]["loss"] - 2.0
    for name in ("half", "brain"):  # the last line is the held-out evaluation's
        for loss in ("masked_lm_loss", "disc_loss"):
            found = tiny_runs.metrics(root / name)[-1][loss]
            assert found == pytest.approx(single[-1][loss], rel=0.03)
        values = tiny_runs.saved(tiny_runs.latest(root / name))
        assert all(
            value.dtype == np.float32
            for key, value in values.items()
            if key.startswith(("weights/", "slots/"))
        )


@pytest.mark.slow
def test_compiled_equals_plain(data, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # compiles quicker
    shared = {**tiny_runs.NO_DROPOUT, "train.eval_steps": 20}
    compiled, two = {"runtime.xla": "true"}, {"runtime.strategy": "mirrored"}
    results = tiny_runs.together(
        data,
        (tmp_path / "plain", shared),
        (tmp_path / "one", shared, compiled),
        (tmp_path / "two", shared, compiled, two),
        exact_noise=True,
    )
    assert [result["traces"] for result in results] == [1, 1, 2]
    expected = tiny_runs.saved(tiny_runs.latest(tmp_path / "plain"))
    for name in ("one", "two"):
        got = tiny_runs.saved(tiny_runs.latest(tmp_path / name))
        for variable, value in expected.items():
            # The plain step's Adam takes 1 - beta_2 in float32, which is 1.3e-5 of it.
            limit = 1e-5 if variable.startswith("weights/") else 2e-6
            np.testing.assert_allclose(
                got[variable], value, rtol=2e-5, atol=limit, err_msg=f"{name}: {variable}"
            )
        for line, other in zip(
            tiny_runs.metrics(tmp_path / "plain"), tiny_runs.metrics(tmp_path / name), strict=True
        ):
            assert other["loss"] == pytest.approx(line["loss"], rel=1e-5)


@pytest.mark.parametrize("changes, message", [
    ({"train.nosuch": 3}, "A --config flag must name a section and a field of"),
    ({"train.num_steps": "many"}, "config.train.num_steps must be an integer. Received: many"),
    ({"data.dir": "/nowhere"}, "A data set must hold vocab.txt"),
])  # fmt: skip
def test_settings_that_do_not_fit(data, tmp_path, changes, message):
    workdir = tmp_path / "run"
    result = tiny_runs.run(tiny_runs.command(data, workdir, changes), code=1)
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    assert not workdir.exists()


def test_sizes_that_do_not_fit(data, tmp_path):
    wrong = [
        (
            {"runtime.strategy": "mirrored", "train.accumulation_steps": 4},
            "config.train.batch_size must be a multiple of devices x accumulation_steps, 2 x 4. "
            "Received: 12",
        ),
        (
            {"model.vocab_size": 60},
            "config.model.vocab_size must be 0 or at least the vocabulary's size, 61. Received: 60",
        ),
        (
            {"model.max_positions": 15},
            "config.model.max_positions must be at least the data's sequence length, 16. "
            "Received: 15",
        ),
    ]
    workdir = tmp_path / "run"
    results = tiny_runs.together(data, *((workdir, changes) for changes, _ in wrong))
    for result, (_, message) in zip(results, wrong, strict=True):
        assert result["error"].startswith(message)
        assert "\n" not in result["error"]
    assert not workdir.exists()
