"""Commands as child processes, a few at a time."""

import collections
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from electra_tf.lab.stages import Task

PROGRAM = (sys.executable, "-m", "electra_tf")
_PATIENCE = 50.0  # seconds in which a stopped child may save its work; the command itself has 60
_POLL = 0.1  # seconds
_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
_PROMPT = "$ "  # before a command in its log
_LAST_BYTES = 4096  # of a log, in which its last line is looked for


def run(tasks: Sequence[Task], jobs: int, on_end: Callable[[Task, int], object]) -> None:
    """Runs tasks, `jobs` at a time, in their order; a failure stops none of the others.

    Whatever ends this early, such as a signal, ends the children with SIGTERM first, on which they
    save and leave.

    Args:
        tasks: none needs another one of them.
        jobs: number of processes.
        on_end: called with every task that has ended, and its exit code.
    """
    waiting, running = collections.deque(tasks), {}
    with contextlib.ExitStack() as stack:
        stack.callback(_stop, running)
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.popleft()
                running[task] = _start(task, jobs)
            time.sleep(_POLL)
            for task, process in [*running.items()]:
                code = process.poll()
                if code is not None:
                    del running[task]
                    on_end(task, code)


def last_line(task: Task) -> str:
    """The last line that a task has printed, which tells an error; empty if it was silent."""
    try:
        with open(task.log, "rb") as file:
            file.seek(max(0, os.path.getsize(task.log) - _LAST_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    printed = [line.rpartition("\r")[2].strip() for line in lines]
    last = next((line for line in reversed(printed) if line), "")
    return "" if last.startswith(_PROMPT) else last


def _start(task: Task, jobs: int) -> subprocess.Popen:
    os.makedirs(os.path.dirname(task.log), exist_ok=True)
    with open(task.log, "ab") as log:
        log.write(f"{_PROMPT}{task.line}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*PROGRAM, *task.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(jobs),
            start_new_session=True,  # a terminal's Ctrl-C comes to us, who pass it on once
        )


def _environment(jobs: int) -> dict[str, str]:
    """Ours, with this package first, and the processor's cores divided among the jobs."""
    path = os.pathsep.join(filter(None, [str(_PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    shared = {"TF_NUM_INTRAOP_THREADS": str(threads)} if jobs > 1 else {}
    return {**shared, **os.environ, "PYTHONPATH": path}


def _stop(running: dict[Task, subprocess.Popen]) -> None:
    """Ends children that still run: asks, waits, and kills those that do not hear."""
    for process in running.values():
        process.terminate()
    end = time.monotonic() + _PATIENCE
    for process in running.values():
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its own children
            process.wait()
