"""Where training goes on after an execution that failed or was killed."""

import os
import pathlib

import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

from electra_tf.tfx.components.working_directory import local_path, publish, working_directory

IDENTITY = {"config": "{}", "data": "abc"}


class Killed(BaseException):
    """Stands in for the end of the process."""


def output(node: pathlib.Path, number: int) -> pathlib.Path:
    """An output directory, as TFX makes it for each execution."""
    path = node / "model" / str(number)
    path.mkdir(parents=True)
    return path


def fail_after(node, number, identity=IDENTITY, name="step_1") -> str:
    with (
        pytest.raises(Killed),
        working_directory("Trainer", str(output(node, number)), identity) as workdir,
    ):
        pathlib.Path(workdir, name).write_text("1")
        raise Killed
    return workdir


def test_the_next_execution_continues_and_tidies_up(tmp_path):
    former = fail_after(tmp_path, 1)
    uri = output(tmp_path, 2)
    with working_directory("Trainer", str(uri), IDENTITY) as workdir:
        assert workdir == former and os.listdir(workdir) == ["step_1"]
        pathlib.Path(workdir, "checkpoints").mkdir()
        pathlib.Path(workdir, "checkpoints", "ckpt-2").write_text("2")
        publish(workdir, ("step_1", "checkpoints"), str(uri))
    assert (uri / "step_1").read_text() == "1"
    assert (uri / "checkpoints" / "ckpt-2").read_text() == "2"
    assert os.listdir(tmp_path) == ["model"]


def test_what_is_not_the_same_starts_anew(tmp_path):
    fail_after(tmp_path, 1)
    others = [
        ("Trainer", IDENTITY | {"data": "other"}),
        ("Trainer", IDENTITY | {"config": "[]"}),
        ("Other", IDENTITY),
    ]
    for number, (component, identity) in enumerate(others, start=2):
        with working_directory(component, str(output(tmp_path, number)), identity) as workdir:
            assert not os.listdir(workdir)
    with working_directory("Trainer", str(output(tmp_path, 9)), IDENTITY) as workdir:
        assert os.listdir(workdir) == ["step_1"]  # the others' end has not touched it


def test_nothing_is_left_of_a_failure_before_the_first_file(tmp_path):
    with (
        pytest.raises(ValueError),
        working_directory("Trainer", str(output(tmp_path, 1)), IDENTITY) as workdir,
    ):
        raise ValueError
    assert not os.path.exists(workdir)


def test_killed_while_tidying_up(tmp_path, monkeypatch):
    uri = output(tmp_path, 1)
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: None)
    with working_directory("Trainer", str(uri), IDENTITY) as workdir:
        pathlib.Path(workdir, "half").write_text("")
    monkeypatch.undo()
    assert os.listdir(os.path.dirname(workdir))
    with working_directory("Trainer", str(output(tmp_path, 2)), IDENTITY) as workdir:
        assert not os.listdir(workdir)
    assert os.listdir(tmp_path) == ["model"]


def test_buckets_are_read_where_vertex_mounts_them():
    assert local_path("gs://bucket/a/b") == "/gcs/bucket/a/b"
    assert local_path("/data/gs://x") == "/data/gs://x"
