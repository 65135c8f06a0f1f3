"""What the tests of whole runs share."""

import os

import pytest
import tiny_runs


@pytest.fixture(scope="session")
def interop_python() -> str:
    """Python of the environment that has transformers and no TensorFlow."""
    path = os.environ.get("ELECTRA_TF_INTEROP_PYTHON")
    if not path:
        pytest.skip("ELECTRA_TF_INTEROP_PYTHON is not set: run `make test-slow`")
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """A tiny data set: 240 training examples, so 20 steps of 12 are one epoch; 37 held out."""
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "shards")
