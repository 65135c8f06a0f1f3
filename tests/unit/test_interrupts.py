"""Signals in a command: where they raise, and where they wait."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from electra_tf import interrupts

_BUSY = """
def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))
    return "done"
"""


@pytest.fixture(autouse=True)
def own_signals(monkeypatch):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(interrupts, "_received", [])
    interrupts.raise_in_main()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def _work_of(module):
    names = {"__name__": module, "time": time}
    exec(_BUSY, names)
    return names["work"]


def _stopped_after(work, seconds):
    """What `work(seconds)` has returned, if it has, when a signal came at its beginning."""
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    returned, end = [], time.monotonic() + 20
    with pytest.raises(interrupts.Interrupt, match="SIGTERM"):
        returned.append(work(seconds))
        while time.monotonic() < end:
            pass
    timer.join()
    assert interrupts.received() == signal.SIGTERM
    return returned


def test_tensorflow_is_left_to_end_what_it_does():
    assert _stopped_after(_work_of("tensorflow.python.util"), 0.3) == ["done"]


def test_others_are_interrupted():
    assert _stopped_after(_work_of("electra_tf.data"), 10) == []


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(interrupts, "_PATIENCE", 0.2)
    assert _stopped_after(_work_of("tensorflow.python.util"), 10) == []


def test_a_command_that_waits_while_it_tidies_up_is_interrupted_again(monkeypatch):
    monkeypatch.setattr(interrupts, "_LONGEST_END", 0.3)
    nobody = threading.Lock()
    nobody.acquire()
    with pytest.raises(interrupts.Interrupt, match="SIGTERM"):
        try:
            _stopped_after(_work_of("electra_tf.data"), 10)
        finally:
            nobody.acquire(timeout=20)
    assert len(interrupts._received) == 2


def test_errors_of_other_threads_are_told_until_then(capsys):
    def fail():
        raise RuntimeError("of a thread")

    def told():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        return capsys.readouterr().err

    assert "RuntimeError: of a thread" in told()
    _stopped_after(_work_of("electra_tf.data"), 10)
    assert told() == ""


def test_a_command_that_has_ended_is_left_without_a_traceback():
    code = """
import os, signal, time
from electra_tf import interrupts
interrupts.raise_in_main()
interrupts.ended()
os.kill(os.getpid(), signal.SIGTERM)
print("went on", flush=True)
time.sleep(1.1)
os.kill(os.getpid(), signal.SIGTERM)
print("never")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (143, "went on\n", "")
