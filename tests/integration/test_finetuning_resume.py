"""A fine-tuning that is killed and stopped on its way comes to the same results."""

import re
import signal

import numpy as np
import pytest
import tiny_runs
import tiny_tasks

from electra_tf.saved.weights import SavedWeights


def saved(workdir) -> dict[str, np.ndarray]:
    weights = SavedWeights(f"{workdir}/checkpoints")
    return {path: weights.read(path) for path in weights.shapes}


@pytest.mark.slow
def test_killed_stopped_and_continued(tmp_path, tiny_vocab_file):
    """Two trials, through a signal and a kill, are bit by bit what they are at one go."""
    model = tiny_tasks.write_model(tmp_path / "model", tiny_vocab_file)
    config, fields = tiny_tasks.write_task("squad", tmp_path / "data")
    fields = {
        **fields,
        "init_from": model,
        "num_trials": 2,
        "train.num_epochs": 15.0,
        "train.checkpoint_steps": 50,
        "runtime.deterministic": True,
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    tiny_runs.run(tiny_tasks.command(config, whole, fields))

    command = tiny_tasks.command(config, parts, fields)
    said = []
    for trial, number, code in (("trial_0", signal.SIGTERM, 143), ("trial_1", signal.SIGKILL, -9)):
        with tiny_runs.start(command) as process:
            tiny_runs.wait_for(
                lambda folder=trial: tiny_runs.last_step(parts / folder) >= 120, process
            )
            process.send_signal(number)
            said.append(tiny_runs.finish(process, code).stderr)
        assert tiny_runs.latest(parts / trial), "stopped before the first checkpoint"
        assert not (parts / trial / "result.json").exists()
        assert not (parts / "results.json").exists()
    kept = (parts / "trial_0" / "result.json").stat().st_mtime_ns
    assert "The same command continues." in said[0] and "Continuing at step" in said[1]
    continued = tiny_runs.run(command).stderr
    assert len(re.findall("(Continuing|Starting) at step", continued)) == 1
    assert (parts / "trial_0" / "result.json").stat().st_mtime_ns == kept

    for folder in ("", "predictions", *(f"trial_{trial}/predictions" for trial in range(2))):
        files = [path for path in (whole / folder).iterdir() if path.is_file()]
        assert len(files) >= 3
        for path in files:
            assert (parts / folder / path.name).read_bytes() == path.read_bytes(), path
    for trial in range(2):
        steps, others = (
            [line["step"] for line in tiny_runs.metrics(run / f"trial_{trial}", "train")]
            for run in (whole, parts)
        )
        assert steps == others == list(range(5, 301, 5))
    expected = saved(whole)
    for path, value in saved(parts).items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
