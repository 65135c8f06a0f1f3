"""The cases of inputs that fail, by kind; they share the helpers of the tests of whole runs."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """A tiny data set: 240 training examples, so 20 steps of 12 are one epoch; 37 held out."""
    import tiny_runs

    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "shards")
