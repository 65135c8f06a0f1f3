"""A run that is stopped, killed or asked again, as its user sees it."""

import json
import os
import pathlib
import random
import signal

import numpy as np
import pytest
import tiny_runs

MANY = {"train.num_steps": 100_000, "train.log_steps": 2, "train.checkpoint_steps": 6}


def steps(workdir) -> list[int]:
    return [line["step"] for line in tiny_runs.metrics(workdir, "train")]


def files(workdir) -> set[str]:
    return set(os.listdir(pathlib.Path(workdir) / "checkpoints"))


def equal(path, other) -> None:
    """Fails unless two checkpoints hold the same bits."""
    values, others = tiny_runs.saved(path), tiny_runs.saved(other)
    assert values.keys() == others.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def test_stopped_damaged_and_continued(data, tmp_path):
    workdir = tmp_path / "run"
    with tiny_runs.start(tiny_runs.command(data, workdir, MANY)) as process:
        tiny_runs.wait_for(lambda: tiny_runs.last_step(workdir) >= 14, process)
        process.send_signal(signal.SIGTERM)
        stopped = tiny_runs.finish(process, 128 + signal.SIGTERM)
    path = pathlib.Path(tiny_runs.latest(workdir))
    step = int(path.name.split("-")[1])
    assert f"Stopped by SIGTERM at step {step}, saved. The same command" in stopped.stderr
    assert len(stopped.stderr.splitlines()) == 2 + len(steps(workdir)) + 1, stopped.stderr

    # What a kill in the middle of a save, or a crash of the machine, may leave.
    folder = workdir / "checkpoints"
    os.truncate(f"{path}.data-00000-of-00001", 1000)
    (folder / "ckpt-9999_temp").mkdir()
    (folder / "ckpt-9999_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"1")
    (folder / "ckpt-9998.data-00000-of-00001").write_bytes(b"2")
    (folder / "ckpt-9997.index").write_bytes(b"3")
    (folder / "checkpoint.tmp0123").write_text("4")
    with open(workdir / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": step + 2, "split": "train"}) + '\n{"step": 77')

    end = step + 5
    command = tiny_runs.command(data, workdir, MANY, {"train.num_steps": end})
    continued = tiny_runs.run(command).stderr
    former = step - 1 - (step - 1) % 6  # the newest of every sixth before the damaged one
    assert f"{path} cannot be read, trying the one before it" in continued
    assert f"Continuing at step {former} of {end}" in continued
    assert "continuing with another config.train.num_steps" in continued
    assert steps(workdir) == [*range(2, end, 2), end]
    assert pathlib.Path(tiny_runs.latest(workdir)).name == f"ckpt-{end}"
    assert not [name for name in files(workdir) if name.startswith(("ckpt-99", "checkpoint.tmp"))]
    assert not [name for name in files(workdir) if name.endswith("_temp")]

    before = (workdir / "metrics.jsonl").read_bytes(), files(workdir)
    again = tiny_runs.run(command).stderr
    assert again == f"Nothing to train: the run is at step {end} of {end}.\n"
    refused = tiny_runs.run([*command, "--config.model.hidden_size=64"], code=1).stderr
    assert refused == (
        "error: A run must keep its networks: config.model.hidden_size was 32 in "
        f"{workdir}. Received: 64. Take another --workdir.\n"
    )
    assert ((workdir / "metrics.jsonl").read_bytes(), files(workdir)) == before


@pytest.mark.slow
def test_killed_three_times_is_never_interrupted(data, tmp_path):
    """Bit for bit, with dropout: weights, slots, and every line of metrics.jsonl."""
    changes = {
        "runtime.deterministic": "true",
        "train.num_steps": 150,
        "train.log_steps": 3,
        "train.checkpoint_steps": 9,
        "train.eval_steps": 50,
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    tiny_runs.run(tiny_runs.command(data, whole, changes))
    command, seed = tiny_runs.command(data, killed, changes), random.randrange(1000)
    print("kills drawn with seed", seed)
    draw = random.Random(seed)
    for low in (1, 40, 80):
        with tiny_runs.start(command) as process:
            target = low + draw.randrange(40)
            tiny_runs.wait_for(lambda target=target: tiny_runs.last_step(killed) >= target, process)
            process.kill()
            process.communicate()
        print(f"killed after step {target}, at step {tiny_runs.last_step(killed)}")
    tiny_runs.run(command)
    equal(f"{whole}/checkpoints/ckpt-150", f"{killed}/checkpoints/ckpt-150")
    assert files(killed) == files(whole)
    lines, others = tiny_runs.metrics(whole), tiny_runs.metrics(killed)
    assert [(line["step"], line["split"]) for line in lines] == [
        (line["step"], line["split"]) for line in others
    ]
    for line, other in zip(lines, others, strict=True):
        assert line["learning_rate"] == other["learning_rate"]
        if line["step"] % 9 == 0:  # elsewhere a resume leaves out what came before its checkpoint
            assert line["loss"] == other["loss"]
    # A kill may come between the line and TensorBoard's file, but nothing is there twice.
    shown = [each.step for each in tiny_runs.board(killed).Tensors("samples")]
    assert shown == sorted({*shown, 150}) and {*shown} <= {50, 100, 150}
