"""A directory that a run writes to has one writer; its lock is gone with its process."""

import os
import subprocess
import sys

import pytest
import tiny_runs

from electra_tf import files
from electra_tf.config import Config, FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.runs import finetuning, pretraining, quickstart
from electra_tf.serving import bundle

HOLDER = "import sys\nfrom electra_tf import files\nwith files.one_writer(sys.argv[1]):\n"


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path/run."""
    program = HOLDER + "    print(flush=True)\n    sys.stdin.read()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")],
        cwd=tiny_runs.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"\n"
    yield process
    process.kill()
    process.communicate()


def pretrain(workdir: str) -> None:
    pretraining.pretrain(Config(), workdir)


def finetune(workdir: str) -> None:
    finetuning.finetune(FinetuneConfig(), workdir)


def export(output: str) -> None:
    bundle.export_run("no model", output)


@pytest.mark.parametrize(
    "write", [pretrain, finetune, export, lambda path: quickstart.run(Config(), path)]
)
def test_a_second_writer_is_refused(holder, tmp_path, write):
    path = str(tmp_path / "run")
    with pytest.raises(UserError) as caught:
        write(path)
    assert str(caught.value) == (
        f"A directory must have one writer at a time. Received: {path}, in use by another run, "
        f"process {holder.pid}"
    )
    assert os.listdir(path) == [".lock"]


def test_a_killed_writer_is_in_nobodys_way(holder, tmp_path):
    path = tmp_path / "run"
    holder.kill()
    holder.communicate()
    assert os.listdir(path) == [".lock"]
    with files.one_writer(str(path)):
        assert (path / ".lock").read_text() == f"{os.getpid()}\n"
        with files.one_writer(str(path)):  # as of a pre-training in a quickstart
            pass
        assert (path / ".lock").exists()
    assert not os.listdir(path)


def test_a_failed_run_leaves_no_directory(tmp_path):
    path = tmp_path / "above" / "run"
    for write in (pretrain, finetune, export):
        with pytest.raises(UserError):
            write(str(path))
        assert not os.listdir(tmp_path)


def test_only_the_chief_of_several_workers_locks(holder, tmp_path, monkeypatch):
    class Worker:
        is_chief = False

    monkeypatch.setattr(pretraining.strategy, "start", lambda *_, **__: Worker())
    monkeypatch.setattr(pretraining, "_pretrain", lambda config, workdir, *_: workdir)
    assert pretraining.pretrain(Config(), str(tmp_path / "run")) == str(tmp_path / "run")


@pytest.mark.slow
def test_two_pretrainings_in_one_workdir(data, tmp_path):
    """The first goes on undisturbed; killed, it is continued by the next."""
    workdir = tmp_path / "run"
    command = tiny_runs.command(data, workdir, {"train.num_steps": 100_000})
    with tiny_runs.start(command) as first:
        tiny_runs.wait_for(lambda: tiny_runs.last_step(workdir) >= 5, first)
        refused = tiny_runs.run(command, code=1).stderr
        assert refused == (
            f"error: A directory must have one writer at a time. Received: {workdir}, in use by "
            f"another run, process {first.pid}\n"
        )
        reached = tiny_runs.last_step(workdir)
        tiny_runs.wait_for(lambda: tiny_runs.last_step(workdir) > reached, first)
        first.kill()
        first.communicate()
    end = tiny_runs.last_step(workdir) + 5
    continued = tiny_runs.run(tiny_runs.command(data, workdir, {"train.num_steps": end})).stderr
    assert f"of {end}" in continued and tiny_runs.last_step(workdir) == end
    assert not (workdir / ".lock").exists()
