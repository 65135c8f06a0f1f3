"""Exports that end early, or meet another: a version is there whole or not at all."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from electra_tf.serving import bundle, warmup
from tests.integration import tiny_tasks
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

COMPLETE = {
    "saved_model.pb",
    "variables/variables.index",
    "assets/vocab.txt",
    "model_card.json",
    "assets.extra/tf_serving_warmup_requests",
    "variables/variables.data-00000-of-00001",
}


class Doubling(tf.Module):
    """Stands in for a model; its graph is written in a moment."""

    max_seq_length, step = 8, 0

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(2.0)
        self.double = tf.function(
            lambda text: {"text": text, "weight": self.weight},
            input_signature=[tf.TensorSpec([None], tf.string, "text")],
        )

    def signatures(self):
        double = self.double.get_concrete_function()
        return {"serving_default": double, "classify": double}

    def warmup_inputs(self, texts):
        return {"serving_default": {"text": texts}, "classify": []}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return tiny_tasks.write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(bundle, "_load", lambda *_: Doubling())


def files_of(path) -> set[str]:
    return {str(file.relative_to(path)) for file in pathlib.Path(path).rglob("*") if file.is_file()}


def assert_whole(path):
    assert files_of(path) >= COMPLETE
    card = json.loads((pathlib.Path(path) / "model_card.json").read_text())
    assert set(tf.saved_model.load(str(path)).signatures) == set(card["signatures"])


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (bundle.tf.saved_model, "save"),
        (bundle, "_name_methods"),
        (warmup, "write"),
        (bundle.model_card, "describe"),
        (bundle, "write_text"),
        (bundle.os, "rename"),
    ],
)
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_in_any_stage_leaves_nothing(
    model, quick, tmp_path, monkeypatch, place, name, error
):
    output = tmp_path / "serving"
    real = getattr(place, name)

    def fails_at_the_end(*arguments, **keywords):
        if name != "rename":
            real(*arguments, **keywords)
        raise error("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(place, name, fails_at_the_end)
        with pytest.raises(error, match="no space left"):
            bundle.export_run(model, str(output))
    assert not output.exists()
    assert bundle.export_run(model, str(output)) == str(output / "1")
    assert_whole(output / "1")
    assert os.listdir(output) == ["1"]


def test_versions_count_up_and_are_never_replaced(model, quick, tmp_path):
    output = tmp_path / "serving"
    assert bundle.export_run(model, str(output), 4) == str(output / "4")
    assert bundle.export_run(model, str(output)) == str(output / "5")
    with pytest.raises(ValueError, match="new or an empty directory"):
        bundle.export_run(model, str(output), 4)
    with pytest.raises(ValueError, match="at least 1"):
        bundle.export_run(model, str(output), 0)
    (output / "notes.txt").write_text("")
    (output / ".abc.tmp").mkdir()  # of a killed export
    assert bundle.export_run(model, str(output)) == str(output / "6")


@pytest.mark.parametrize("version", [None, 1])
def test_of_two_at_once_none_takes_the_others_version(model, quick, tmp_path, monkeypatch, version):
    rename, taken = os.rename, tmp_path / "1" / "saved_model.pb"

    def overtaken(source, target):
        """The other export is quicker, between the choice of a number and the renaming."""
        if not taken.exists():
            taken.parent.mkdir()
            taken.write_text("the other's")
        rename(source, target)

    monkeypatch.setattr(bundle.os, "rename", overtaken)
    if version:
        with pytest.raises(ValueError, match="new or an empty directory"):
            bundle.export_run(model, str(tmp_path), version)
        assert os.listdir(tmp_path) == ["1"]
    else:
        assert bundle.export_run(model, str(tmp_path)) == str(tmp_path / "2")
        assert_whole(tmp_path / "2")
    assert taken.read_text() == "the other's"


def _start(model, output):
    return subprocess.Popen(
        [sys.executable, "-m", "electra_tf", "export", f"--model={model}", f"--output={output}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_of_two_processes_at_once_the_second_is_refused(model, tmp_path):
    processes = [_start(model, tmp_path) for _ in range(2)]
    errors = {
        process.communicate(timeout=TIME_LIMIT)[1]: process.returncode for process in processes
    }
    (refused,) = (error for error, code in errors.items() if code == 1)
    assert refused.startswith(
        f"error: A directory must have one writer at a time. Received: {tmp_path}, in use by "
    )
    assert os.listdir(tmp_path) == ["1"]
    assert_whole(tmp_path / "1")


def test_a_version_is_replaced_if_it_is_a_bundle(model, quick, tmp_path):
    version = tmp_path / "1"
    bundle.export_run(model, str(tmp_path), 1)
    before = (version / "saved_model.pb").stat().st_ino
    (version / "notes.md").touch()
    with pytest.raises(ValueError, match="a bundle and nothing else.* also holds notes.md"):
        bundle.export_run(model, str(tmp_path), 1, overwrite=True)
    os.remove(version / "notes.md")
    bundle.export_run(model, str(tmp_path), 1, overwrite=True)
    assert (version / "saved_model.pb").stat().st_ino != before
    assert os.listdir(tmp_path) == ["1"]
    assert_whole(version)


def test_leftovers_of_killed_exports_are_removed(model, quick, tmp_path):
    (tmp_path / f".{'0a' * 16}.tmp").mkdir()  # of a killed export
    (tmp_path / ".lock").write_text("1\n")
    bundle.export_run(model, str(tmp_path))
    assert os.listdir(tmp_path) == ["1"]


@pytest.mark.slow
def test_a_killed_export_leaves_no_half_version(model, tmp_path):
    """At moments spread over the writing, and a little after each."""
    generator, left = random.Random(0), 0
    for part in ("", "variables/*", "saved_model.pb", "assets.extra/*", "model_card.json*"):
        before = set(tmp_path.glob(".*.tmp"))
        process = _start(model, tmp_path)
        try:
            while process.poll() is None and not any(
                list(folder.glob(part)) if part else True
                for folder in set(tmp_path.glob(".*.tmp")) - before
            ):
                time.sleep(0.002)
            time.sleep(generator.uniform(0.0, 0.2))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        for version in (name for name in os.listdir(tmp_path) if name.isdecimal()):
            assert_whole(tmp_path / version)  # the kill came too late
        left += len(list(tmp_path.glob(".*.tmp")))
    assert left  # and at least one did not
    version = bundle.next_version(str(tmp_path))
    process = _start(model, tmp_path)
    _, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 0, error
    assert_whole(tmp_path / str(version))
    assert not [name for name in os.listdir(tmp_path) if not name.isdecimal()]
