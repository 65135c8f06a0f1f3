"""A mixture of data sets whose tokenizers are not one."""

import json
import pathlib
import shutil

import pytest
import tiny_runs

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.tasks.pretraining import PretrainingTask

RULE = "All data sets of config.data.mixture must have the same tokenizer and vocabulary; build"


def task(*directories, **fields) -> PretrainingTask:
    config, mixture = Config(), json.dumps({str(each): 1 for each in directories})
    for name, value in {**tiny_runs.TINY, "data.mixture": mixture, **fields}.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return PretrainingTask(config)


@pytest.fixture
def other(data, tmp_path) -> pathlib.Path:
    return shutil.copytree(data, tmp_path / "other")


def describe(directory: pathlib.Path, **changes) -> None:
    path = directory / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def swap_words(directory: pathlib.Path) -> None:
    path = directory / "vocab.txt"
    text = path.read_text()
    path.write_text(text.replace("word7\n", "7\n").replace("word8\n", "word7\n"))


def test_one_vocabulary_in_all(data, other):
    found = task(data, other)
    assert found.vocab_file == f"{data}/vocab.txt"
    assert found.train_split.num_examples == 480
    assert found.open_split("eval").num_examples == 74
    (other / "vocab.txt").unlink()  # one of them has it
    describe(other, tokenizer_fingerprint=found.config.data.tokenizer_fingerprint)
    assert task(other, data).vocab_file == f"{data}/vocab.txt"


def test_other_words(data, other):
    swap_words(other)
    with pytest.raises(UserError, match=f"{RULE}.* Received: {data} and {other} .fingerprint "):
        task(data, other)


def test_another_fingerprint(data, other):
    describe(other, tokenizer_fingerprint="of another one")
    with pytest.raises(UserError, match=f"{RULE}.* and {other} .fingerprint of another one, not"):
        task(data, other)


def test_other_settings(data, other):
    describe(other, tokenizer={"lower_case": False, "strip_accents": False})
    with pytest.raises(UserError, match=f"{RULE}.* with {{.*'lower_case': True.*False"):
        task(data, other)


def test_a_vocabulary_from_elsewhere_must_be_that_of_all(data, other, tmp_path):
    elsewhere = shutil.copytree(data, tmp_path / "elsewhere")
    swap_words(elsewhere)
    with pytest.raises(UserError, match="must be read with the vocabulary that it was built with"):
        task(data, other, **{"data.vocab_file": str(elsewhere / "vocab.txt")})


def test_the_splits_are_opened_once(data, other):
    """An evaluation, and each replica in it, asks for the held-out part again."""
    found = task(data, other)
    first = [batch["input_ids"].numpy() for batch in found.eval_batches(32, 0, 1)]
    (other / "dataset.json").unlink()
    again = [batch["input_ids"].numpy() for batch in found.eval_batches(32, 0, 1)]
    assert len(first) == len(again) == 3
    assert all((one == two).all() for one, two in zip(first, again))
