"""Running a pipeline here: what is shown, what a failure says, what an interruption leaves."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("tfx.orchestration", reason="the TFX tests run in .venv-tfx")

from electra_tf.tfx.runners import local as local_runner
from electra_tf.tfx.runners.executions import executions, summaries
from electra_tf.train.signals import Interrupted
from tests.tfx import toy_components

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def toy(tmp_path):
    return toy_components.Toy(tmp_path / "root")


def test_first_run_executes_and_second_is_cached_with_a_line_per_component(toy, capfd):
    assert toy.run() == {"Writer": "COMPLETE", "Copier": "COMPLETE"}
    first = capfd.readouterr()
    assert toy.run() == {"Writer": "CACHED", "Copier": "CACHED"}
    second = capfd.readouterr()
    for lines, word in ((first.out, "done"), (second.out, "cached")):
        lines = re.sub(r"\d+\.\d s", "S s", lines).splitlines()
        assert lines == [
            "[1/2] Writer: running",
            f"[1/2] Writer: {word}, S s",
            "[2/2] Copier: running",
            f"[2/2] Copier: {word}, S s",
        ]
    assert first.err == second.err == ""
    assert summaries(toy.store) == [
        {"Writer": "COMPLETE", "Copier": "COMPLETE"},
        {"Writer": "CACHED", "Copier": "CACHED"},
    ]


def test_only_what_depends_on_a_change_runs_again(toy):
    toy.run()
    assert toy.run(text="new") == {"Writer": "COMPLETE", "Copier": "COMPLETE"}
    assert sorted(toy.copies().values()) == ["new", "whole"]


def test_a_failure_of_ours_is_one_line_with_component_and_cause(toy, capfd):
    with pytest.raises(ValueError) as caught:
        toy.run("refuse")
    assert str(caught.value) == "Copier: config.train.num_steps must be at least 1. Received: 0"
    assert capfd.readouterr().err == ""
    assert toy.states() == [("Writer", "COMPLETE"), ("Copier", "FAILED")]
    assert toy.copies() == {} and not (toy.root / "logs").exists()
    assert toy.run() == {"Writer": "CACHED", "Copier": "COMPLETE"}


def test_an_unexpected_failure_keeps_its_type_and_leaves_a_traceback(toy):
    with pytest.raises(ValueError) as caught:
        toy.run("break")
    log = toy.root / "logs" / "Copier.log"
    assert str(caught.value) == (
        f"Copier: KeyError: 'missing' [while running 'x'] (traceback: {log})"
    )
    text = log.read_text(encoding="utf-8")
    assert "toy_components.py" in text and "RuntimeError" in text


def test_an_input_that_does_not_exist_ends_the_run(toy):
    """TFX itself only notes it in the store, and runs the next component."""
    toy.order.write_text("go on", encoding="utf-8")
    with pytest.raises(ValueError, match="^latest: InputResolutionError: .* returned None"):
        local_runner.run(
            toy_components.pipeline_without_input(str(toy.root), str(toy.order)), str(toy.root)
        )
    assert toy.states() == [("latest", "FAILED")]


def test_missing_files_of_a_component_are_named(toy):
    toy.order.unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"^Copier: FileNotFoundError: .*order\.txt"):
        local_runner.run(toy_components.pipeline(str(toy.root), str(toy.order)), str(toy.root))


@pytest.mark.parametrize("order", ["stop", "interrupt"])
def test_a_signal_ends_the_run_with_a_line_and_nothing_half_written(toy, capfd, order):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        toy.run(order)
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert "Copier: stopped by SIGTERM" in capfd.readouterr().out.splitlines()[-1]
    assert toy.states() == [("Writer", "COMPLETE"), ("Copier", "FAILED")]
    assert toy.copies() == {}
    assert toy.run() == {"Writer": "CACHED", "Copier": "COMPLETE"}


def test_a_killed_run_is_cleared_away_by_the_next(toy):
    """While it is at work, a second run of the same root is refused."""
    toy.order.write_text("wait", encoding="utf-8")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from electra_tf.tfx.runners import local as local_runner\n"
        "from tests.tfx import toy_components\n"
        f"local_runner.run(toy_components.pipeline({str(toy.root)!r}, {str(toy.order)!r}),"
        f" {str(toy.root)!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not toy.copies():
            assert process.poll() is None, "the run ended early"
            time.sleep(0.2)
        with pytest.raises(ValueError, match="in use by another run"):
            toy.run("wait")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert toy.states()[-1] == ("Copier", "RUNNING")
    assert toy.copies() == {"2": "half"}
    assert toy.run() == {"Writer": "CACHED", "Copier": "COMPLETE"}
    assert toy.states()[:2] == [("Writer", "COMPLETE"), ("Copier", "FAILED")]
    assert toy.copies() == {"4": "whole"}


def test_a_bucket_is_no_root_of_a_local_run(toy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="--root must be a directory .* Received: gs://bucket"):
        local_runner.run(toy_components.pipeline("gs://bucket", "order.txt"), "gs://bucket")
    assert not os.listdir(tmp_path)


def test_a_store_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="metadata store must .* Received: .*none.sqlite"):
        executions(str(tmp_path / "none.sqlite"))
