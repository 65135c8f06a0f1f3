"""The components of the fine-tuning pipeline, each on its own: files, examples, schema, model."""

import filecmp
import json
import os
import pathlib

import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tensorflow as tf
import tensorflow_data_validation as tfdv
import tiny_tasks
from tfx.types import Channel, standard_artifacts
from tiny_pipelines import artifact

from configs import custom, glue, squad, tagging
from electra_tf.runs.finetuning import finetune
from electra_tf.tfx.components.finetuner import ElectraFinetuner, ElectraFinetunerExecutor
from electra_tf.tfx.components.task_examples import (
    TaskExampleGen,
    TaskExampleGenExecutor,
    files_fingerprint,
)
from electra_tf.tfx.components.task_schema import TaskSchemaGen, schema_of, texts_and_labels

CONFIGS = {"glue": glue, "custom": custom}


def task(name: str, directory) -> tuple:
    """Writes a tiny task; returns its config, without the directory, and the directory."""
    source, fields = tiny_tasks.write_task(name, directory)
    module, kind = source.split(".py:")
    config = CONFIGS[module].get_config(kind)
    for field_name, value in (tiny_tasks.FIELDS | fields).items():
        section, field = field_name.split(".")
        setattr(getattr(config, section), field, value)
    data_dir, config.data.dir = config.data.dir, ""
    return config, data_dir


def generate(config, data_dir, directory):
    """What TaskExampleGen makes of a task's files."""
    directory.mkdir()  # as TFX does
    examples = artifact(standard_artifacts.Examples, directory)
    TaskExampleGenExecutor().Do(
        {}, {"examples": [examples]}, TaskExampleGen(config, data_dir).exec_properties
    )
    return examples


def rows(directory, split: str) -> list[dict[str, str]]:
    """Features of a split's examples, found as any TFX component would."""
    files = [str(path) for path in (pathlib.Path(directory) / f"Split-{split}").iterdir()]
    parsed = [
        tf.train.Example.FromString(record).features.feature
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    ]
    return [
        {name: value.bytes_list.value[0].decode() for name, value in features.items()}
        for features in parsed
    ]


def test_examples_of_glue(tmp_path):
    config, data_dir = task("cola", tmp_path / "cola")
    examples = generate(config, data_dir, tmp_path / "1")
    for split, file in (("train", "train.tsv"), ("eval", "dev.tsv")):
        lines = [
            line.split("\t") for line in (pathlib.Path(data_dir) / file).read_text().splitlines()
        ]
        assert rows(examples.uri, split) == [
            {"sentence": line[3], "label": line[1], "id": str(number)}
            for number, line in enumerate(lines)
        ]
        assert examples.get_int_custom_property(f"{split}_examples") == len(lines)
    assert examples.splits == ["train", "eval"] and examples.span == 0
    assert sorted(os.listdir(f"{examples.uri}/files")) == ["dev.tsv", "test.tsv", "train.tsv"]
    for name in os.listdir(f"{examples.uri}/files"):
        assert filecmp.cmp(f"{examples.uri}/files/{name}", f"{data_dir}/{name}", shallow=False)


def test_examples_of_own_pairs_in_a_file_of_another_name(tmp_path):
    config, data_dir = task("pairs", tmp_path / "pairs")
    os.rename(f"{data_dir}/dev.jsonl", f"{data_dir}/held_out.jsonl")
    config.data.eval_file = "held_out.jsonl"
    examples = generate(config, data_dir, tmp_path / "1")
    lines = (pathlib.Path(data_dir) / "held_out.jsonl").read_text().splitlines()
    assert rows(examples.uri, "eval") == [
        line | {"label": str(line["label"])} for line in map(json.loads, lines)
    ]


def test_no_dev_file(tmp_path):
    config, data_dir = task("classification", tmp_path / "data")
    os.remove(f"{data_dir}/dev.csv")
    with pytest.raises(ValueError, match="must have a dev file.*Received: .*data without one"):
        generate(config, data_dir, tmp_path / "1")


def test_only_what_is_read_decides_whether_files_are_read_again(tmp_path):
    config, data_dir = task("classification", tmp_path / "data")
    before = TaskExampleGen(config, data_dir).exec_properties
    schema = TaskSchemaGen(config).exec_properties
    config.train.num_epochs, config.num_trials, config.task.max_seq_length = 7.0, 3, 16
    assert TaskExampleGen(config, data_dir).exec_properties == before
    assert TaskSchemaGen(config).exec_properties == schema
    config.task.label_field = "verdict"
    assert TaskExampleGen(config, data_dir).exec_properties != before


def test_a_changed_file_changes_the_fingerprint_and_others_do_not(tmp_path):
    config, data_dir = task("classification", tmp_path / "data")
    before = files_fingerprint(config, data_dir)
    (pathlib.Path(data_dir) / "notes.txt").write_text("unrelated")
    assert files_fingerprint(config, data_dir) == before
    with open(f"{data_dir}/dev.csv", "a") as file:
        file.write("the network,one\n")
    assert files_fingerprint(config, data_dir) != before
    with pytest.raises(ValueError, match="^TaskExampleGen: The data must be a directory.*missing"):
        files_fingerprint(config, str(tmp_path / "missing"))


def test_the_schema_holds_for_the_examples_and_for_nothing_else(tmp_path):
    config, data_dir = task("cola", tmp_path / "cola")
    examples = generate(config, data_dir, tmp_path / "1")
    schema = schema_of(*texts_and_labels(config))

    folder = f"{examples.uri}/Split-eval"
    good = tfdv.generate_statistics_from_tfrecord(f"{folder}/*")
    assert not tfdv.validate_statistics(good, schema).anomaly_info
    os.mkdir(tmp_path / "broken")
    broken = str(tmp_path / "broken" / "data.gz")
    with tf.io.TFRecordWriter(broken, "GZIP") as writer:
        for features in (
            {"sentence": ["a"], "label": ["2"], "id": ["0"]},
            {"sentence": ["a", "b"], "label": ["1"], "id": ["1"], "extra": ["x"]},
        ):
            writer.write(
                tf.train.Example(
                    features=tf.train.Features(
                        feature={
                            name: tf.train.Feature(
                                bytes_list=tf.train.BytesList(
                                    value=[value.encode() for value in values]
                                )
                            )
                            for name, values in features.items()
                        }
                    )
                ).SerializeToString()
            )
    found = tfdv.validate_statistics(tfdv.generate_statistics_from_tfrecord(broken), schema)
    assert set(found.anomaly_info) == {"label", "sentence", "extra"}


def finetuned(examples, pretrained, folder, number, config, **parameters):
    """One execution of ElectraFinetuner, in directories as TFX makes them."""
    component = ElectraFinetuner(
        Channel(type=standard_artifacts.Examples),
        Channel(type=standard_artifacts.Model),
        config,
        **parameters,
    )
    outputs = {}
    for key, kind in (
        ("model", standard_artifacts.Model),
        ("model_run", standard_artifacts.ModelRun),
    ):
        outputs[key] = artifact(kind, folder / key / str(number), number)
        os.makedirs(outputs[key].uri)
    ElectraFinetunerExecutor().Do(
        {"examples": [examples], "pretrained_model": [pretrained]},
        {key: [value] for key, value in outputs.items()},
        component.exec_properties,
    )
    return outputs["model"], outputs["model_run"]


@pytest.mark.slow
def test_a_failed_fine_tuning_is_continued_and_is_that_of_the_command(
    tmp_path, tiny_vocab_file, monkeypatch
):
    config, data_dir = task("classification", tmp_path / "data")
    source = tiny_tasks.write_model(tmp_path / "model_dir", tiny_vocab_file)
    examples = generate(config, data_dir, tmp_path / "1")
    pretrained = artifact(standard_artifacts.Model, source)

    def disk_is_full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("electra_tf.tfx.components.finetuner.publish", disk_is_full)
        with pytest.raises(OSError, match="No space"):
            finetuned(examples, pretrained, tmp_path, 1, config, num_epochs=1.0)
    unfinished = next((tmp_path / "unfinished").iterdir())
    written = (unfinished / "trial_0" / "metrics.jsonl").read_bytes()
    model, model_run = finetuned(examples, pretrained, tmp_path, 2, config, num_epochs=1.0)
    assert pathlib.Path(model_run.uri, "trial_0", "metrics.jsonl").read_bytes() == written
    assert not (tmp_path / "unfinished").exists()

    config.data.dir, config.init_from, config.train.num_epochs = data_dir, source, 1.0
    expected = finetune(config, str(tmp_path / "by_command"))
    with open(f"{model.uri}/results.json") as file:
        assert json.load(file) == expected
    assert (
        model.get_float_custom_property("dev_accuracy") == (expected["median"]["dev"]["accuracy"])
    )
    for name in ("vocab.txt", "predictions/task-test.jsonl"):
        assert filecmp.cmp(f"{model.uri}/{name}", tmp_path / "by_command" / name, shallow=False)
    assert os.listdir(f"{model_run.uri}/trial_0/tensorboard")


def changed(config, **fields):
    for name, value in fields.items():
        section, _, field = name.rpartition("__")
        setattr(getattr(config, section) if section else config, field, value)
    return config


OWN = custom.get_config


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: TaskExampleGen(tagging.get_config("chunk"), "data"),
            "TaskExampleGen: config.task.kind must be one of glue, classification.*'tagging'",
        ),
        (
            lambda: TaskExampleGen(squad.get_config("v2"), "data"),
            "TaskExampleGen: config.task.kind must be one of glue, classification.*'squad'",
        ),
        (
            lambda: TaskExampleGen(glue.get_config("sts-b"), "data"),
            "TaskExampleGen: config.task.name must be a task with classes.*sts-b",
        ),
        (
            lambda: TaskExampleGen(changed(OWN(), data__train_file="sub/train.tsv"), "data"),
            "TaskExampleGen: config.data.train_file must be the name of a file.*sub/train.tsv",
        ),
        (lambda: TaskExampleGen(OWN(), 3), "TaskExampleGen: data_dir must be a string.*3"),
        (
            lambda: TaskSchemaGen(changed(OWN(), data__dir="data")),
            "TaskSchemaGen: config.data.dir must be empty.*data",
        ),
        (
            lambda: ElectraFinetuner(None, None, changed(OWN(), init_from="runs/mine")),
            "ElectraFinetuner: config.init_from must be empty.*runs/mine",
        ),
        (
            lambda: ElectraFinetuner(None, None, OWN(), num_trials=0),
            "ElectraFinetuner: num_trials must be at least 1.*0",
        ),
        (
            lambda: ElectraFinetuner(None, None, json.dumps({"train": {"epochs": 3}})),
            "ElectraFinetuner: config.train must have only.*epochs=3",
        ),
    ],
)
def test_refused_parameters(build, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build()
