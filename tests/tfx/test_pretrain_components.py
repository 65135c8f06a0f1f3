"""The components of the pre-training pipeline, each on its own: text, examples, schema, model."""

import filecmp
import json
import os

import pytest
import tensorflow as tf

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tensorflow_data_validation as tfdv
import tiny_pipelines
import tiny_runs
from tfx.types import Channel, standard_artifacts
from tiny_pipelines import LENGTH, artifact

from electra_tf.data.build import build_dataset
from electra_tf.saved import model_directory
from electra_tf.tfx.components import schema
from electra_tf.tfx.components.evaluator import HeldOutEvaluator
from electra_tf.tfx.components.examples import (
    ElectraExampleGen,
    ElectraExampleGenExecutor,
    input_fingerprint,
)
from electra_tf.tfx.components.pretrainer import (
    ElectraPretrainer,
    ElectraPretrainerExecutor,
    require_normal,
)
from electra_tf.tfx.pipelines import pretraining as pretraining_pipeline

VOCAB_SIZE = 120


def generate(corpus, directory, beam_args=(), **changes):
    """What ElectraExampleGen makes of a text."""
    component = ElectraExampleGen(
        corpus, **{"vocab_size": VOCAB_SIZE, "seq_length": LENGTH, "eval_fraction": 0.2} | changes
    )
    directory.mkdir()  # as TFX does
    examples = artifact(standard_artifacts.Examples, directory)
    context = ElectraExampleGenExecutor.Context(beam_pipeline_args=list(beam_args))
    ElectraExampleGenExecutor(context).Do({}, {"examples": [examples]}, component.exec_properties)
    return examples


@pytest.fixture(scope="session")
def examples(corpus, tmp_path_factory):
    return generate(corpus, tmp_path_factory.mktemp("examples") / "1")


def records(directory) -> dict[str, list[bytes]]:
    """Records of both splits, read as any TFX component would find them."""
    return {
        split: [
            record
            for name in sorted(os.listdir(directory / f"Split-{split}"))
            for record in tf.data.TFRecordDataset(
                str(directory / f"Split-{split}" / name)
            ).as_numpy_iterator()
        ]
        for split in ("train", "eval")
    }


def test_examples_are_those_of_build_dataset(corpus, examples, tmp_path):
    root = type(tmp_path)(examples.uri)
    build_dataset(
        [corpus], root / "vocab.txt", tmp_path / "flat", seq_length=LENGTH, eval_fraction=0.2
    )
    flat = {}
    for split in ("train", "eval"):
        names = sorted((tmp_path / "flat").glob(f"{split}-*.tfrecord"))
        flat[split] = list(tf.data.TFRecordDataset(list(map(str, names))).as_numpy_iterator())
    found = records(root)
    assert found == flat and all(found.values())
    assert examples.splits == ["train", "eval"] and examples.span == 0
    for split, items in found.items():
        assert examples.get_int_custom_property(f"{split}_examples") == len(items)
    assert len((root / "vocab.txt").read_text().splitlines()) <= VOCAB_SIZE


@pytest.mark.parametrize(
    ("text", "cause"),
    [("\n \n", "at least one word"), ("a single document\n", "two different documents")],
)
def test_text_without_enough_documents(tmp_path, text, cause):
    (tmp_path / "corpus.txt").write_text(text)
    with pytest.raises(ValueError, match=cause):
        generate(str(tmp_path / "corpus.txt"), tmp_path / "1", vocab_size=50)


def test_beam_options_are_passed_on(corpus, tmp_path):
    image = "--sdk_container_image=none"  # or TFX would first make a package of itself
    generate(corpus, tmp_path / "1", ["--direct_num_workers=1", image])
    assert sorted(os.listdir(tmp_path)) == ["1"]
    with pytest.raises(ValueError, match="must be known.* to Apache Beam. Received: --direkt=1"):
        generate(corpus, tmp_path / "2", ["--direkt=1", image])


def test_fingerprint_follows_the_content(corpus, tmp_path):
    path, vocab_file = tmp_path / "a.txt", tmp_path / "vocab.txt"
    path.write_text("one\n\ntwo\n")
    special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
    vocab_file.write_text(special + "a\n")
    names = (str(path), str(vocab_file))
    before = input_fingerprint(*names)
    assert input_fingerprint(*names) == before
    path.write_text("one\n\nTWO\n")
    changed = input_fingerprint(*names)
    vocab_file.write_text(special + "b\n")
    assert len({before, changed, input_fingerprint(*names), input_fingerprint(corpus)}) == 4
    with pytest.raises(ValueError, match=r"^ElectraExampleGen: The input must match.*nothing\.txt"):
        input_fingerprint(str(tmp_path / "nothing.txt"))


def anomalies_of(directory, tmp_path):
    """What TensorFlow Data Validation finds in files, as ExampleValidator writes it down."""
    statistics = tfdv.generate_statistics_from_tfrecord(os.path.join(directory, "*"))
    found = tfdv.validate_statistics(statistics, schema.schema_of(LENGTH, VOCAB_SIZE, "none"))
    folder = tmp_path / "anomalies" / "Split-train"
    folder.mkdir(parents=True)
    (folder / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    return artifact(standard_artifacts.ExampleAnomalies, folder.parent, splits=["train"])


def example(**changes) -> bytes:
    rows = {
        "input_ids": [2, 9, 3] + [0] * (LENGTH - 3),
        "input_mask": [1] * 3 + [0] * (LENGTH - 3),
        "segment_ids": [0] * LENGTH,
    } | changes
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=row))
                for name, row in rows.items()
                if row is not None
            }
        )
    ).SerializeToString()


def test_the_schema_holds_for_the_examples_and_for_nothing_else(examples, tmp_path):
    (tmp_path / "good").mkdir()
    require_normal(anomalies_of(f"{examples.uri}/Split-train", tmp_path / "good"))
    broken = tmp_path / "broken"
    broken.mkdir()
    with tf.io.TFRecordWriter(str(broken / "a.tfrecord")) as writer:
        for changes in (
            {"input_ids": [VOCAB_SIZE] * LENGTH},
            {"input_mask": None},
            {"segment_ids": [0] * (LENGTH - 1)},
            {"label": [1]},
            {},
        ):
            writer.write(example(**changes))
    with pytest.raises(ValueError, match="must be as their schema says.*in split train") as error:
        require_normal(anomalies_of(str(broken), tmp_path))
    for name in ("input_ids", "input_mask", "segment_ids", "label"):
        assert f"{name}: " in str(error.value)
    assert "\n" not in str(error.value)


def pretrain(examples, folder, number, config, **parameters):
    """One execution of ElectraPretrainer, in directories as TFX makes them."""
    component = ElectraPretrainer(Channel(type=standard_artifacts.Examples), config, **parameters)
    outputs = {}
    for key, kind in (
        ("model", standard_artifacts.Model),
        ("model_run", standard_artifacts.ModelRun),
    ):
        outputs[key] = artifact(kind, folder / key / str(number), number)
        os.makedirs(outputs[key].uri)
    ElectraPretrainerExecutor().Do(
        {"examples": [examples]},
        {key: [value] for key, value in outputs.items()},
        component.exec_properties,
    )
    return outputs["model"], outputs["model_run"]


def test_a_failed_execution_is_continued(examples, tmp_path, monkeypatch):
    config = tiny_pipelines.config(
        train__eval_steps=4, train__num_steps=900, train__log_steps=2, runtime__deterministic=False
    )

    def disk_is_full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("electra_tf.tfx.components.pretrainer.publish", disk_is_full)
        with pytest.raises(OSError, match="No space"):
            pretrain(examples, tmp_path, 1, config, num_steps=4, learning_rate=2e-3)
    unfinished = tmp_path / "unfinished"
    written = (next(unfinished.iterdir()) / "metrics.jsonl").read_bytes()

    model, model_run = pretrain(examples, tmp_path, 2, config, num_steps=4, learning_rate=2e-3)
    assert (tmp_path / "model_run" / "2" / "metrics.jsonl").read_bytes() == written
    assert os.listdir(f"{model_run.uri}/tensorboard/train")
    assert not unfinished.exists()

    loaded = model_directory.load_network(model.uri)  # a model directory, with what was asked for
    assert loaded.config.train.num_steps == 4 and loaded.config.data.dir == examples.uri
    assert loaded.config.optimizer.learning_rate == 2e-3
    assert filecmp.cmp(f"{model.uri}/vocab.txt", f"{examples.uri}/vocab.txt", shallow=False)
    assert model.get_int_custom_property("step") == 4
    lines = {line["split"]: line for line in tiny_runs.metrics(model_run.uri)}
    for split in ("train", "eval"):
        assert lines[split]["step"] == 4
        assert model.get_float_custom_property(f"{split}_disc_auc") == lines[split]["disc_auc"]


CONFIG = tiny_pipelines.config()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ElectraExampleGen("a.txt", eval_fraction=0.0), "ElectraExampleGen: eval_fraction"),
        (
            lambda: ElectraExampleGen("a.txt", packing="tight"),
            "ElectraExampleGen: packing.*'tight'",
        ),
        (lambda: ElectraExampleGen("a.txt", seq_length=4), "ElectraExampleGen: seq_length.*8.*4"),
        (lambda: schema.PretrainingSchemaGen(LENGTH, 0), "PretrainingSchemaGen: vocab_size"),
        (
            lambda: ElectraPretrainer(None, tiny_pipelines.config(data__dir="shards")),
            "ElectraPretrainer: config.data.dir must be empty.*shards",
        ),
        (
            lambda: ElectraPretrainer(None, tiny_pipelines.config(data__mixture='{"shards": 1}')),
            "ElectraPretrainer: config.data.mixture must be empty.*shards",
        ),
        (lambda: ElectraPretrainer(None, CONFIG, num_steps=0), "ElectraPretrainer: num_steps"),
        (
            lambda: ElectraPretrainer(None, CONFIG, learning_rate=0.0),
            "ElectraPretrainer: learning_rat",
        ),
        (
            lambda: ElectraPretrainer(None, json.dumps({"train": {"steps": 3}})),
            "ElectraPretrainer: config.train must have only.*steps=3",
        ),
        (lambda: HeldOutEvaluator(None, None, min_auc=2.0), "HeldOutEvaluator: min_auc.*2"),
    ],
)
def test_refused_parameters(build, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        build()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"config": tiny_pipelines.config(train__batch_size=0)},
            "ElectraPretrainer: config.train.batch_size must be at least 1. Received: 0",
        ),
        (
            {"input": "nothing.txt"},
            "ElectraExampleGen: The input must match at least one file. Received: nothing.txt",
        ),
        (
            {"vocab_file": "no_vocab.txt"},
            "ElectraExampleGen: The vocabulary must be a readable file. Received: no_vocab.txt",
        ),
        ({"vocab_file": __file__}, "ElectraExampleGen: .* vocabulary .*Received"),
        (
            {"seq_length": LENGTH + 1},
            f"ElectraExampleGen: seq_length must be at most config.model.max_positions, {LENGTH}",
        ),
    ],
)
def test_refused_before_the_pipeline_runs(corpus, tmp_path, changes, message):
    given = {"config": CONFIG, "input": corpus} | changes
    with pytest.raises(ValueError, match=f"^{message}"):
        pretraining_pipeline.build(str(tmp_path / "root"), str(tmp_path / "serving"), **given)
    assert not os.listdir(tmp_path)
