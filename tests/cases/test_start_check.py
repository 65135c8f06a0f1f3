"""`pretrain --check`: what it tells of a run that can start, and of those that cannot."""

import json
import os
import pathlib
import shutil
import socket
import sys
import types

import pytest
import tiny_runs

from configs import electra_small
from electra_tf import locks
from electra_tf.errors import UserError
from electra_tf.runs import start_check, worker_probe
from electra_tf.speed import devices
from electra_tf.train.cluster import Cluster

SHEET = devices.DataSheet("a test's machine", 8, 1e12, 2e12)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine whose speed is known: to measure it takes seconds."""
    monkeypatch.setattr(devices, "this_machine", lambda compiled: SHEET)


def config_of(data, **changes):
    config = electra_small.get_config()
    for name, value in {"data.dir": str(data), **tiny_runs.TINY, **changes}.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return config


def files_below(directory) -> dict:
    return {path: path.stat().st_mtime_ns for path in pathlib.Path(directory).rglob("*")}


def facts(found) -> str:
    return "\n".join(found.lines())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def cluster_of(monkeypatch, *addresses, index: int = 0) -> None:
    given = {
        "cluster": {"worker": list(addresses)},
        "task": {"type": "worker", "index": index},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(given))


def test_a_good_set_up(data, tmp_path):
    before = files_below(tmp_path) | files_below(data)
    config = config_of(data, **{"train.eval_steps": 10})
    given = config.to_json()
    found = start_check.check(config, str(tmp_path / "run"))
    assert not found.problems
    assert config.to_json() == given
    assert files_below(tmp_path) | files_below(data) == before
    told = facts(found)
    assert "1 replica on CPU" in told and "(OneDeviceStrategy)" in told
    assert "240 examples of 16 tokens" in told and "; 1 epochs" in told
    assert "held out: 37 examples" in told
    assert "vocabulary of 61 tokens" in told
    assert f"{tmp_path / 'run'}: new" in told
    assert "per device for 12 rows; a step can have 7.20 GiB" in told
    assert "at 40% of the peak of 1 x a test's machine" in told


def test_a_mixture(data, tmp_path):
    other = shutil.copytree(data, tmp_path / "other")
    mixture = {"data.dir": "", "data.mixture": json.dumps({str(data): 3, str(other): 1})}
    found = start_check.check(config_of(data, **mixture, **{"train.eval_steps": 10}), str(tmp_path))
    assert not found.problems
    told = facts(found)
    assert f"0.75 of all from {data}: 240 examples" in told and "; 0.75 epochs" in told
    assert f"0.25 of all from {other}: 240 examples" in told and "; 0.25 epochs" in told
    assert told.count("held out: 37 examples") == 2

    shutil.rmtree(other)
    found = start_check.check(config_of(data, **mixture), str(tmp_path / "run"))
    assert any("must hold dataset.json" in problem for problem in found.problems)
    both = config_of(data, **{"data.mixture": mixture["data.mixture"]})
    found = start_check.check(both, str(tmp_path / "run"))
    (problem,) = found.problems
    assert problem.startswith("config.data.mixture must be in place of config.data.dir")


def test_the_command_prints_it_and_exits(data, tmp_path):
    mixture = {"data.dir": "", "data.mixture": json.dumps({data: 0.5})}
    arguments = [*tiny_runs.command(data, tmp_path / "run", mixture), "--check"]
    told = tiny_runs.run(arguments, code=1, TF_CONFIG="{}x")
    assert f"{data}: 240 examples of 16 tokens" in told.stdout
    assert "problem  The environment variable TF_CONFIG must be JSON" in told.stdout
    assert "Received: 1 problem, each with its remedy above" in told.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_batches_that_grow_on_two_devices(data, tmp_path):
    """Six rows of a batch are on each device, and eight of a smaller one on both."""
    growing = {"train.batch_warmup": "[[10, 8]]", "runtime.strategy": "mirrored"}
    fields = {"runtime.num_virtual_devices": 2, "train.num_steps": 20}
    command = tiny_runs.command(data, tmp_path / "run", growing, fields)
    told = tiny_runs.run([*command, "--check"]).stdout
    assert "planned per device for 6 rows" in told and "0.833 epochs" in told


def test_missing_data_and_all_else_that_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "garbage")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").touch()
    config = config_of(tmp_path / "nothing", **{"model.hidden_size": 33})
    found = start_check.check(config, str(tmp_path / "run"))
    rules = "\n".join(found.problems)
    assert len(found.problems) == 4
    assert "A data set must hold dataset.json" in rules
    assert "TF_CONFIG must be JSON" in rules
    assert "config.model.num_heads must divide" in rules
    assert "A workdir must be new or a run's" in rules
    assert "skipped" in facts(found)


def test_another_vocabulary(data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "shards")
    description = json.loads((folder / "dataset.json").read_text())
    description["tokenizer_fingerprint"] = "of another one"
    (folder / "dataset.json").write_text(json.dumps(description))
    found = start_check.check(config_of(folder), str(tmp_path / "run"))
    (problem,) = found.problems
    assert "A data set must be read with the vocabulary that it was built with" in problem
    assert "240 examples" in facts(found)  # the rest is told all the same


def test_a_worker_that_cannot_be_reached(data, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_probe, "SECONDS", 0.3)
    here, waiting = (f"localhost:{free_port()}" for _ in range(2))
    cluster_of(monkeypatch, here, waiting, "worker-2.invalid:2222")
    found = start_check.check(config_of(data), str(tmp_path / "run"))
    (problem,) = found.problems
    assert problem.startswith("Every worker must be reachable from the others. Received: worker 2")
    told = facts(found)
    assert f"3, this one is worker 0 at {here}" in told
    assert "nothing listens there yet" in told
    assert "on each of 3 workers (MultiWorkerMirroredStrategy)" in told


def test_workers_that_check_at_the_same_time_see_each_other():
    tasks = {("worker", index): f"localhost:{free_port()}" for index in range(2)}
    with worker_probe.listening(Cluster(tasks, ("worker", 1))):
        answers = worker_probe.probe(Cluster(tasks, ("worker", 0)))
    assert answers == {"worker 1": "accepts connections"}


def test_a_worker_that_does_not_answer(monkeypatch):
    def refuse_to_answer(address, timeout):
        raise TimeoutError

    monkeypatch.setattr(worker_probe.socket, "create_connection", refuse_to_answer)
    tasks = {("chief", 0): "here:1", ("worker", 0): "there:2"}
    answer = worker_probe.probe(Cluster(tasks, ("chief", 0)))["worker 0"]
    assert isinstance(answer, UserError) and "there:2 (no answer in time)" in str(answer)


def test_an_own_address_that_is_in_use(data, tmp_path, monkeypatch):
    with socket.create_server(("localhost", 0)) as other:
        address = f"localhost:{other.getsockname()[1]}"
        cluster_of(monkeypatch, address)
        found = start_check.check(config_of(data), str(tmp_path / "run"))
    (problem,) = found.problems
    assert f"worker 0 at {address} (" in problem and "end what uses the port" in problem


def test_an_address_without_port(data, tmp_path, monkeypatch):
    cluster_of(monkeypatch, "localhost")
    (problem,) = start_check.check(config_of(data), str(tmp_path / "run")).problems
    assert "must be HOST:PORT. Received: localhost" in problem


def test_a_batch_that_the_devices_cannot_share(data, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_probe, "SECONDS", 0.3)
    cluster_of(monkeypatch, *(f"localhost:{free_port()}" for _ in range(5)))
    rule = "must be a multiple of devices x accumulation_steps, 5 x 1. Received: 12"
    (problem,) = start_check.check(config_of(data), str(tmp_path / "run")).problems
    assert rule in problem
    # Without data, too.
    found = start_check.check(config_of(tmp_path / "nothing"), str(tmp_path / "run"))
    assert len(found.problems) == 2 and any(rule in each for each in found.problems)


def test_too_little_room(data, tmp_path, monkeypatch):
    usage = types.SimpleNamespace(total=10**9, used=10**9 - 1000, free=1000)
    monkeypatch.setattr(start_check.shutil, "disk_usage", lambda path: usage)
    (problem,) = start_check.check(config_of(data), str(tmp_path / "new" / "run")).problems
    assert "must have room for config.train.keep_checkpoints" in problem
    assert "or keep fewer than 5" in problem


def test_too_little_memory(data, tmp_path, monkeypatch):
    small = devices.DataSheet("a small one", 0.0008, 1e12, 1e12)
    monkeypatch.setattr(devices, "this_machine", lambda compiled: small)
    (problem,) = start_check.check(config_of(data), str(tmp_path / "run")).problems
    assert problem.startswith("A step must fit into the memory of a device")
    assert "; take config.train.accumulation_steps=" in problem


@pytest.mark.slow
def test_a_run_that_continues(data, tmp_path, monkeypatch):
    workdir, sizes = tmp_path / "run", {"model.hidden_size": 128, "model.intermediate_size": 512}
    tiny_runs.together(data, (workdir, {**sizes, "train.num_steps": 5}))
    config = config_of(data, **sizes)
    before = files_below(workdir)
    found = start_check.check(config, str(workdir))
    assert not found.problems
    assert "continues at step 5 of 20" in facts(found)
    assert files_below(workdir) == before
    config.train.num_steps = 5
    assert "nothing is left to train" in facts(start_check.check(config, str(workdir)))
    # What is planned for a checkpoint is what one takes: 6 are needed, and one is there.
    size = sum(path.stat().st_size for path in (workdir / "checkpoints").iterdir())
    for number, told in ((4.7, 1), (5.3, 0)):
        usage = types.SimpleNamespace(free=number * size)
        with monkeypatch.context() as patch:
            patch.setattr(start_check.shutil, "disk_usage", lambda path, usage=usage: usage)
            assert len(start_check.check(config, str(workdir)).problems) == told, number
    with locks.hold(str(workdir)):
        other = os.getpid()
        (problem,) = start_check.check(config, str(workdir)).problems
    assert f"must have one writer at a time. Received: {workdir}, in use by" in problem
    assert f"process {other}" in problem
    changed = config_of(data, **{**sizes, "model.hidden_size": 64})
    (problem,) = start_check.check(changed, str(workdir)).problems
    assert "A run must keep its networks" in problem


@pytest.mark.parametrize(
    ("name", "gib", "sheet"),
    [
        ("NVIDIA A100-SXM4-80GB", 79.6, "A100 SXM 80 GB"),
        ("NVIDIA A100-SXM4-40GB", 39.4, "A100 SXM 40 GB"),
        ("NVIDIA H100 80GB HBM3", 79.6, "H100 SXM"),
        ("NVIDIA H200", 140.4, "H200 SXM"),
        ("Tesla T4", 15, "T4"),
        ("Tesla V100-SXM2-16GB", 16, "V100 SXM2 16 GB"),
        ("NVIDIA L4", 22.5, "L4"),
        ("NVIDIA GeForce RTX 4090", 24, "RTX 4090"),
    ],
)
def test_gpus_by_the_names_of_their_driver(name, gib, sheet):
    found = devices.of_gpu(name, gib)
    assert (found.name, found.gib) == (sheet, gib)
    assert found.mixed < float("inf")


@pytest.mark.parametrize("name", ["NVIDIA H100 PCIe", "NVIDIA L40S", "AMD Instinct MI300X"])
def test_gpus_whose_rates_are_not_known(name):
    assert devices.of_gpu(name, 40) == devices.DataSheet(name, 40, float("inf"), float("inf"))


def test_the_memory_of_gpus_is_that_of_the_smallest(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint(40960)\nprint(20480)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.of_gpu("NVIDIA L4").gib == 20
    program.unlink()
    assert devices.of_gpu("NVIDIA L4") is None
