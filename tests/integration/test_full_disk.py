"""A disk that fills up, and shards that a disk has damaged, as the user of a command sees them."""

import os
import pathlib
import shutil

import campaign_checks
import campaign_commands
import numpy as np
import pytest
import small_disks
import tiny_runs

pytestmark = pytest.mark.slow

LEFT = 48 << 10  # bytes that are free once the disk is nearly full
ATOMIC = ("build_dataset", "learn_vocab", "convert", "export")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    """What the commands read, on a disk with room."""
    directory = tmp_path_factory.mktemp("campaign") / "inputs"
    campaign_commands.write_inputs(directory)
    return directory


@pytest.fixture
def disk(tmp_path):
    """A file system of 16 MiB, in memory."""
    with small_disks.mounted(tmp_path / "disk", 16) as folder:
        yield folder


def fill(folder: pathlib.Path) -> pathlib.Path:
    """Writes a file that leaves little room; returns its path."""
    path = folder / "filler"
    free = shutil.disk_usage(folder).free - LEFT
    with open(path, "wb") as file:
        while free > 0:
            free -= file.write(bytes(min(free, 1 << 20)))
    return path


def refused(arguments: list[str]) -> str:
    """The one line of a command that fails."""
    result = tiny_runs.run(arguments, code=1)
    assert "Traceback" not in result.stderr
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == told[0]
    return told[0]


@pytest.mark.parametrize("name", ATOMIC)
def test_an_output_that_does_not_fit_is_absent(inputs, disk, name):
    command = campaign_commands.commands(None)[name]
    filler = fill(disk)
    error = refused(command.arguments(inputs, disk))
    assert "space" in error, error
    assert not (disk / command.output).exists()
    assert not campaign_checks.leftovers(disk)
    filler.unlink()
    tiny_runs.run(command.arguments(inputs, disk))
    assert not campaign_checks.half_files(disk)


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_a_run_goes_on_once_there_is_room(inputs, disk, name):
    command = campaign_commands.commands(None)[name]
    arguments = command.arguments(inputs, disk)
    run = disk / command.output
    folder = run if name == "pretrain" else run / "trial_0"
    with tiny_runs.start(arguments) as process:
        tiny_runs.wait_for(lambda: tiny_runs.latest(folder) is not None, process)
        filler = fill(disk)
        result = tiny_runs.finish(process, code=1)
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "space" in last, result.stderr
    assert not campaign_checks.half_files(disk)
    good = tiny_runs.latest(folder)
    assert good is not None
    tiny_runs.saved(good)
    filler.unlink()
    continued = tiny_runs.run(arguments).stderr
    assert f"Continuing at step {good.rpartition('-')[2]} " in continued
    assert not campaign_checks.leftovers(disk)
    assert not campaign_checks.half_files(disk)


def test_a_damaged_shard_ends_a_run_in_one_line(inputs, tmp_path):
    """One byte in a hundred is another, so hardly an example is whole; the run keeps the rest."""
    shards, workdir = tmp_path / "shards", tmp_path / "run"
    shutil.copytree(inputs / "shards", shards)
    command = tiny_runs.command(str(shards), workdir, {"train.num_steps": 10})
    tiny_runs.run(command)
    (path,) = shards.glob("train-*.tfrecord")
    content = np.fromfile(path, np.uint8)
    places = np.random.default_rng(0).choice(len(content), len(content) // 100, replace=False)
    content[places] ^= 1
    content.tofile(path)
    error = refused(tiny_runs.command(str(shards), workdir, {"train.num_steps": 20}))
    assert error.startswith("error: A shard must be a ")
    assert os.path.basename(path) in error
    assert tiny_runs.latest(workdir).endswith("ckpt-10")
    assert not campaign_checks.half_files(workdir)
