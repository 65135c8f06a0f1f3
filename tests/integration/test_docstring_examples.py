"""The examples in docstrings, run in a folder that has the models and data they speak of.

As a program this runs them in the given folder: a pre-training sets up its process's devices.
"""

import doctest
import importlib
import os
import sys

import pytest
import tiny_runs
import tiny_tasks

pytestmark = pytest.mark.slow

MODULES = (
    "electra_tf.config.json_config",
    "electra_tf.extras",
    "electra_tf.runs.finetuning",
    "electra_tf.runs.loaded",
    "electra_tf.runs.pretraining",
    "electra_tf.serving.bundle",
    "electra_tf.text.wordpiece",
)


def test_examples(tmp_path, tiny_vocab_file, data):
    from electra_tf.saved import model_directory
    from tests.integration.random_finetuned import write_finetuned
    from tests.integration.random_models import random_electra

    runs = tmp_path / "runs"
    runs.mkdir()
    model_directory.write(random_electra(tiny_vocab_file, "embeddings"), str(runs / "mine"))
    write_finetuned(runs / "rte", tiny_vocab_file, kind="glue", name="rte")
    write_finetuned(runs / "chunks", tiny_vocab_file, kind="tagging", labels="B-NP,I-NP,O")
    write_finetuned(runs / "squad", tiny_vocab_file, kind="squad", max_query_length=8, doc_stride=4)
    (tmp_path / "shards").symlink_to(data)
    tiny_tasks.write_task("classification", tmp_path / "reviews")
    result = tiny_runs.run([sys.executable, __file__, str(tmp_path)])
    print(result.stdout)
    assert int(result.stdout.split()[-1]) >= 20


def _run_all() -> int:
    tried = 0
    for name in MODULES:
        module, package = importlib.import_module(name), importlib.import_module("electra_tf")
        failed, number = doctest.testmod(
            module, extraglobs={"electra_tf": package}, optionflags=doctest.ELLIPSIS
        )
        assert number and not failed, name
        tried += number
    return tried


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    print(_run_all())
