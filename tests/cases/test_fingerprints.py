"""A data set, a run, a model and a bundle are joined only if their tokenizers are the same."""

import json
import pathlib
import shutil

import pytest
import tensorflow as tf
import tiny_runs

import electra_tf
from configs import custom
from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.runs.evaluation import evaluate
from electra_tf.runs.finetuning import finetune
from electra_tf.runs.pretraining import pretrain
from electra_tf.serving.bundle import export_run
from electra_tf.serving.checking.check import check_bundle
from electra_tf.serving.checking.contents import read_bundle, structure_problems
from electra_tf.tasks.pretraining import PretrainingTask


def tiny_config(data, **fields) -> Config:
    config = Config()
    for name, value in {**tiny_runs.TINY, "data.dir": str(data), **fields}.items():
        *section, field = name.split(".")
        setattr(getattr(config, *section) if section else config, field, value)
    return config


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> pathlib.Path:
    """A run of two steps, and its bundle `serving/1`."""
    directory = tmp_path_factory.mktemp("run")
    pretrain(tiny_config(data, **{"train.num_steps": 2}), str(directory))
    export_run(str(directory), str(directory / "serving"))
    return directory


def other_words(data, directory: pathlib.Path) -> pathlib.Path:
    """The same shards with another vocabulary of the same size."""
    shutil.copytree(data, directory)
    swap_words(directory / "vocab.txt")
    return directory


def swap_words(path: pathlib.Path) -> None:
    text = path.read_text()
    assert "word7\n" in text and "word8\n" in text
    path.write_text(text.replace("word7\n", "7\n").replace("word8\n", "word7\n"))


def other_settings(data, directory: pathlib.Path) -> pathlib.Path:
    """The same shards and vocabulary, of cased text."""
    shutil.copytree(data, directory)
    path = directory / "dataset.json"
    description = json.loads(path.read_text())
    description["tokenizer"] = {"lower_case": False, "strip_accents": False}
    path.write_text(json.dumps(description))
    return directory


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as error:
        function(*arguments, **named)
    return str(error.value)


@pytest.mark.parametrize("change", [other_words, other_settings])
def test_no_other_data_go_into_a_run(run, data, tmp_path, change):
    other = change(data, tmp_path / "other")
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for message in (
        refusal(pretrain, tiny_config(other), str(run)),
        refusal(evaluate, str(run), data_dir=str(other)),
    ):
        assert f"must have the vocabulary and the tokenizer settings of {run}" in message
        assert str(other) in message and f"--vocab={run}/vocab.txt" in message
    message = refusal(pretrain, tiny_config(other, init_from=str(run)), str(tmp_path / "new"))
    assert f"must have the vocabulary and the tokenizer settings of {run}" in message
    assert not (tmp_path / "new").exists()
    assert before == {path: path.read_bytes() for path in before}


def test_the_same_data_elsewhere_go_into_a_run(run, data, tmp_path):
    shutil.copytree(data, tmp_path / "moved")
    metrics = evaluate(str(run), data_dir=str(tmp_path / "moved"), output=str(tmp_path / "m.json"))
    assert metrics["examples"] == 37


def test_what_the_command_line_says_of_the_tokenizer_must_be_true(data):
    message = refusal(PretrainingTask, tiny_config(data, **{"data.lower_case": False}))
    assert "config.data.lower_case must be that of the data set, True. Received: False" in message


def test_a_data_set_keeps_its_vocabulary(data, run, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    path = tmp_path / "data" / "dataset.json"
    config = configuration.load(str(run))
    assert config.data.tokenizer_fingerprint
    description = json.loads(path.read_text())
    description["tokenizer_fingerprint"] = config.data.tokenizer_fingerprint
    path.write_text(json.dumps(description))
    PretrainingTask(tiny_config(tmp_path / "data"))  # as it was built
    swap_words(tmp_path / "data" / "vocab.txt")
    message = refusal(PretrainingTask, tiny_config(tmp_path / "data"))
    assert "must be read with the vocabulary that it was built with" in message
    assert "data/vocab.txt" in message


def change_vocabulary(run, directory: pathlib.Path) -> str:
    shutil.copytree(run, directory)
    swap_words(directory / "vocab.txt")
    return str(directory)


def test_a_model_keeps_its_vocabulary(run, data, tmp_path):
    changed = change_vocabulary(run, tmp_path / "changed")
    task = custom.get_config("classification")
    task.init_from = changed
    task.data.dir = str(tmp_path)
    for message in (
        refusal(electra_tf.load, changed),
        refusal(export_run, changed, str(tmp_path / "serving")),
        refusal(evaluate, changed, data_dir=data),
        refusal(pretrain, tiny_config(data), changed),
        refusal(pretrain, tiny_config(data, init_from=changed), str(tmp_path / "new")),
        refusal(finetune, task, str(tmp_path / "task")),
    ):
        assert "must keep the vocabulary and the tokenizer settings of its training" in message
        assert f"{changed}/vocab.txt" in message
    for name in ("serving", "new", "task"):
        assert not (tmp_path / name).exists()


def test_a_bundle_keeps_its_vocabulary(run, tmp_path):
    bundle = read_bundle(str(run / "serving" / "1"))
    assert structure_problems(bundle) == []
    assert bundle.fingerprint == configuration.load(str(run)).data.tokenizer_fingerprint
    shutil.copytree(run / "serving" / "1", tmp_path / "1")
    swap_words(tmp_path / "1" / "assets" / "vocab.txt")
    [problem] = structure_problems(read_bundle(str(tmp_path / "1")))
    assert "must keep its vocabulary" in problem


def test_a_bundle_is_not_checked_against_a_model_of_another_vocabulary(run, data, tmp_path):
    other = tmp_path / "other"
    pretrain(
        tiny_config(other_words(data, tmp_path / "data"), **{"train.num_steps": 1}), str(other)
    )
    report = check_bundle(str(run / "serving" / "1"), str(other), without_python=False)
    [check] = [check for check in report.checks if check.name == "model"]
    assert not report.passed
    assert "must have the vocabulary and the tokenizer settings of its model" in check.detail


def test_what_older_versions_wrote_is_taken(run, data, tmp_path):
    """Without fingerprints, the files themselves are compared."""
    old = tmp_path / "old"
    shutil.copytree(run, old)
    fields = json.loads((old / "config.json").read_text())
    del fields["data"]["tokenizer_fingerprint"]
    (old / "config.json").write_text(json.dumps(fields))
    assert evaluate(str(old))["examples"] == 37
    assert pretrain(tiny_config(data, **{"train.num_steps": 2}), str(old)) == 2
    message = refusal(pretrain, tiny_config(other_words(data, tmp_path / "other")), str(old))
    assert "must have the vocabulary" in message


def write_original(directory: pathlib.Path, ids: list[list[int]]) -> pathlib.Path:
    """Records as google-research/electra writes them."""
    directory.mkdir()
    path = directory / "pretrain_data.tfrecord-0-of-1"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in ids:
            values = {"input_ids": row, "input_mask": [1] * len(row), "segment_ids": [0] * len(row)}
            feature = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                for name, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return directory


def test_ids_of_the_originals_records_must_be_of_the_vocabulary(data, tmp_path):
    vocabulary = {"data.vocab_file": f"{data}/vocab.txt"}
    good = write_original(tmp_path / "good", [[2, 60, 5, 3], [2, 7, 8, 3]])
    assert PretrainingTask(tiny_config(good, **vocabulary)).train_split.num_examples == 2
    for name, wrong in (("large", 16_294), ("negative", -1)):
        bad = write_original(tmp_path / name, [[2, 60, 5, 3], [2, 7, wrong, 3]])
        message = refusal(pretrain, tiny_config(bad, **vocabulary), str(tmp_path / "run"))
        assert "must be from 0 to below the vocabulary's size, 61" in message
        assert f"Received: {wrong} in {bad}" in message
    assert not (tmp_path / "run").exists()


def test_the_originals_records_must_all_be_alike(data, tmp_path):
    bad = write_original(tmp_path / "ragged", [[2, 60, 5, 3], [2, 7, 3]])
    config = tiny_config(bad, **{"data.vocab_file": f"{data}/vocab.txt"})
    assert "must be a tf.Example with 4 input_ids" in refusal(PretrainingTask, config)
    path = tmp_path / "ragged" / "pretrain_data.tfrecord-0-of-1"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"no example")
    assert "must be a tf.Example" in refusal(PretrainingTask, config)
