"""What the TFX tests share: helpers of the other integration tests, and tiny inputs."""

import pathlib
import sys

import pytest
import tensorflow as tf

tf.config.list_physical_devices()  # what it prints on its start belongs to no test

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> str:
    """A text file of small documents."""
    import tiny_pipelines

    return tiny_pipelines.write_corpus(tmp_path_factory.mktemp("corpus") / "corpus.txt")
