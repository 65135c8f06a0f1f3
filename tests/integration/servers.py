"""Servers as child processes: the stand-in for TensorFlow Serving, the playground."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.integration.tiny_runs import ROOT, TIME_LIMIT

_STAND_IN = ROOT / "tests" / "integration" / "stand_in_server.py"


@contextlib.contextmanager
def stand_in(base_path, *flags: str) -> Iterator[dict[str, str]]:
    """HOST:PORT by protocol of a stand-in that serves a directory of versions as "electra"."""
    with first_line(
        [sys.executable, str(_STAND_IN), f"--model_base_path={base_path}", *flags],
        cwd=os.path.dirname(base_path),
    ) as (line, _):
        yield {protocol: f"localhost:{port}" for protocol, port in json.loads(line).items()}


@contextlib.contextmanager
def first_line(command: list[str], cwd=ROOT) -> Iterator[tuple[str, subprocess.Popen]]:
    """A running process and the first line of its output, killed at the end of the block."""
    with subprocess.Popen(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.communicate(timeout=TIME_LIMIT)[1]
            yield line, process
        finally:
            process.kill()
