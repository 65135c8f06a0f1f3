"""MultiWorkerMirroredStrategy: two processes on this machine."""

import contextlib
import json
import pathlib
import signal
import socket

import numpy as np
import pytest
import tiny_runs

pytestmark = pytest.mark.slow


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def two_workers(command: list[str]):
    """Both processes of a cluster, the chief first."""
    workers = [f"localhost:{port}" for port in free_ports(2)]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                tiny_runs.start(
                    command,
                    TF_CONFIG=json.dumps(
                        {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
                    ),
                )
            )
            for index in range(2)
        ]


def finish(processes, code: int = 0) -> list[str]:
    """Waits for both and returns what they have said."""
    return [tiny_runs.finish(process, code).stderr for process in processes]


def test_two_workers_equal_one(data, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    changes = {**tiny_runs.NO_DROPOUT, "train.eval_steps": 10}
    tiny_runs.together(data, (one, changes))
    with two_workers(tiny_runs.command(data, two, changes)) as processes:
        chief, other = finish(processes)
    assert "2 replicas" in chief
    assert "step" not in other  # only the chief speaks and writes
    expected, got = tiny_runs.saved(tiny_runs.latest(one)), tiny_runs.saved(tiny_runs.latest(two))
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    for line, again in zip(tiny_runs.metrics(one), tiny_runs.metrics(two), strict=True):
        assert (line["step"], line["split"]) == (again["step"], again["split"])
        assert again["disc_loss"] == pytest.approx(line["disc_loss"], rel=1e-5)
        assert again["masked_lm_loss"] == pytest.approx(line["masked_lm_loss"], rel=1e-5)
    events = list(pathlib.Path(two).glob("tensorboard/*/*"))
    assert len(events) == 2, events  # one file for training, one for evaluation
    shown = tiny_runs.board(two)
    for tag in ("samples", "probability/original_tokens", "probability/replaced_tokens"):
        assert [each.step for each in shown.Tensors(tag)] == [10, 20], tag


def test_a_signal_to_one_worker_stops_both(data, tmp_path):
    workdir = tmp_path / "run"
    changes = {**tiny_runs.NO_DROPOUT, "train.num_steps": 100_000}
    with two_workers(tiny_runs.command(data, workdir, changes)) as processes:
        tiny_runs.wait_for(lambda: tiny_runs.last_step(workdir) >= 10, processes[0])
        processes[1].send_signal(signal.SIGTERM)
        chief, _ = finish(processes, 128 + signal.SIGTERM)
    step = int(tiny_runs.latest(workdir).rsplit("-", 1)[1])
    assert f"Stopped by SIGTERM at step {step}, saved." in chief
    end = step + 5
    again = tiny_runs.command(data, workdir, changes, {"train.num_steps": end})
    with two_workers(again) as processes:
        chief, _ = finish(processes)
    assert f"Continuing at step {step} of {end}" in chief
    assert tiny_runs.last_step(workdir) == end


def test_a_step_of_slurm_with_one_node(data, tmp_path):
    step = {
        "JOB_ID": str(free_ports(1)[0]),
        "PROCID": "0",
        "STEP_NODELIST": "localhost",
        "STEP_NUM_TASKS": "1",
        "STEP_TASKS_PER_NODE": "1",
    }
    variables = {f"SLURM_{name}": value for name, value in step.items()}
    changes = {"runtime.strategy": "multi_worker", "train.num_steps": 5}
    command = tiny_runs.command(data, tmp_path / "run", changes)
    told = tiny_runs.run([*command, "--check"], **variables).stdout
    assert "1, this one is worker 0 at localhost:2" in told
    tiny_runs.run(command, **variables)
    assert tiny_runs.last_step(tmp_path / "run") == 5
