"""Ctrl-C and SIGTERM in a command: one line, exit code 128 + the signal's number, no half files.

Loops that can be continued answer signals themselves, see `train/signals.py`.
"""

import os
import signal
import threading
import time

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN = 1.0  # seconds in which a second signal is the first one's echo, of a shell or a wrapper
_RETRY, _PATIENCE = 0.01, 2.0  # seconds between tries, and until there is no more waiting
_LONGEST_END = 60.0  # seconds until a command that still tidies up is interrupted again
_received: list[tuple[int, float]] = []


class Interrupt(KeyboardInterrupt):
    """A signal asked the command to end. Not an Exception: libraries do not swallow it."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


def leave_at_once() -> None:
    """Has the signals end the process where it stands: while it starts, and has written nothing."""
    stderr = os.dup(2)  # which is held back while TensorFlow starts

    def leave(number, frame):
        del frame
        os.write(stderr, f"{describe(number)}\n".encode())
        os._exit(128 + number)

    _handle(leave)


def raise_in_main() -> None:
    """Has the signals raise `Interrupt`, so that what was begun is removed.

    Not while TensorFlow's own Python is at work, though: its native functions look modules up, and
    one that meets the exception there prints a traceback. What fails in other threads after the
    signal, since what they work with is taken from them, is not told.
    """
    waiting: list[tuple[int, float]] = []

    def stop(number, frame):
        now = time.monotonic()
        if _received and now - _received[-1][1] < _AGAIN:
            return
        waiting.append((number, now))
        try_to_raise(None, frame)

    def try_to_raise(_, frame):
        number, since = waiting[0] if waiting else (received(), 0.0)
        now = time.monotonic()
        if _is_tensorflow(frame) and now - since < _PATIENCE:
            signal.setitimer(signal.ITIMER_REAL, _RETRY)
            return
        waiting.clear()
        _received.append((number, now))
        signal.setitimer(signal.ITIMER_REAL, _LONGEST_END)
        raise Interrupt(number)

    def of_thread(arguments):
        if not received():
            threading.__excepthook__(arguments)

    threading.excepthook = of_thread
    signal.signal(signal.SIGALRM, try_to_raise)
    _handle(stop)


def ended() -> None:
    """From here on nothing is raised: a signal that is no echo of the first ends the process."""
    since = _received[-1][1] if _received else time.monotonic()

    def leave(number, frame):
        del frame
        if time.monotonic() - since >= _AGAIN:
            os._exit(128 + number)

    _handle(leave)
    signal.setitimer(signal.ITIMER_REAL, 0)


def received() -> int:
    """The signal that has raised an `Interrupt`, or 0: errors after that are its doing."""
    return _received[0][0] if _received else 0


def describe(signum: int) -> str:
    """What is said of a command that was stopped."""
    return f"interrupted by {signal.Signals(signum).name}"


def _is_tensorflow(frame) -> bool:
    return frame is not None and frame.f_globals.get("__name__", "").startswith("tensorflow")


def _handle(handler) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a shell's background job
            signal.signal(number, handler)
