"""`pretrained:NAME`, the models that come with the package."""

import os

import pytest

from electra_tf import files, pretrained
from electra_tf.errors import UserError

NAME = "pretrained:small-wiki-novels"


def test_a_name_is_a_directory():
    directory = files.expand(NAME)
    assert directory == pretrained.directories()[NAME]
    assert os.path.isfile(os.path.join(directory, "config.json"))


@pytest.mark.parametrize("name", ["small-wiki-novel", "", "../pretrained", "."])
def test_an_unknown_name_is_told(name):
    with pytest.raises(UserError, match=f"must be one of pretrained:.*Received: pretrained:{name}"):
        files.expand(f"pretrained:{name}")


@pytest.mark.parametrize("name", ["eval.json", "checkpoints/new", "../another"])
def test_outputs_do_not_lie_among_the_models(name):
    path = os.path.join(pretrained.directories()[NAME], name)
    with pytest.raises(UserError, match="must not lie among the models of the package"):
        files.output(path)
    with pytest.raises(UserError, match="must not lie among the models of the package"):
        files.workdir(path, (), ())


def test_every_model_has_what_a_user_needs():
    for directory in pretrained.directories().values():
        assert {"README.md", "config.json", "training.json", "vocab.txt"} <= {
            *os.listdir(directory)
        }
        size = sum(
            os.path.getsize(os.path.join(folder, file))
            for folder, _, names in os.walk(directory)
            for file in names
        )
        assert size < 30e6
