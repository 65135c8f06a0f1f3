"""Readers against made-up bytes: any file gives a result or an error that its user can act on.

A fast run draws the same 100 examples for each reader every time, 20 where one takes long. A
campaign draws new ones, as many as it is told, and prints how to repeat what fails:

    HYPOTHESIS_EXAMPLES=10000 .venv/bin/python -m pytest tests/fuzz
"""

import pathlib
import resource

import pytest

MEMORY = 1 << 30  # bytes by which a test may raise the peak of its process


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Where the examples of a module are written, one over the other."""
    return tmp_path_factory.mktemp("made_up")


@pytest.fixture(autouse=True)
def bounded_memory():
    """Fails a test that has needed far more memory than its small files can justify."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MEMORY, f"the peak of memory has grown by {grown >> 20} MiB"
