"""The whole fine-tuning pipeline as its user runs it, from GLUE's files to a serving directory."""

import json
import os
import pathlib
import sys

import numpy as np
import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)
import tiny_pipelines
import tiny_tasks

from configs import glue
from electra_tf.saved.finetuned import load_network
from electra_tf.tasks.finetuning import predict_outputs
from electra_tf.tasks.sentence.examples import Sentences
from electra_tf.tfx import tfma
from electra_tf.tfx.pipelines import finetuning as finetuning_pipeline
from electra_tf.tfx.runners.executions import summaries
from tests import made_glue

NODES = {
    "TaskExampleGen",
    "StatisticsGen",
    "TaskSchemaGen",
    "ExampleValidator",
    "pretrained-model",
    "ElectraFinetuner",
    "ServingExporter",
    "baseline",
    "Evaluator",
    "BundleChecker",
    "Pusher",
}
# A resolver is never cached: it looks anew. An importer finds the artifact that it has made.
RESOLVED = {"baseline": "COMPLETE"}
DATA_NODES = {
    "TaskExampleGen",
    "StatisticsGen",
    "TaskSchemaGen",
    "ExampleValidator",
    "pretrained-model",
}
# Long enough that the model answers differently to different texts.
FIELDS = tiny_tasks.FIELDS | {"train.num_epochs": 12.0, "optimizer.learning_rate": 3e-3}


def command(task, data, model, root, *arguments: str, **changes) -> list[str]:
    """The pipeline's command for a task of GLUE; other fields by `section__field`."""
    fields = FIELDS | {name.replace("__", "."): value for name, value in changes.items()}
    return [
        sys.executable,
        "-m",
        "electra_tf",
        "tfx_finetune",
        f"--config=configs/glue.py:{task}",
        f"--config.data.dir={data}",
        f"--model={model}",
        f"--root={root}",
        *(f"--config.{name}={value}" for name, value in fields.items()),
        *arguments,
    ]


def output(root, node: str, key: str) -> pathlib.Path:
    """The newest output of a node."""
    return max(pathlib.Path(root, "pipeline", node, key).iterdir(), key=lambda path: int(path.name))


def states(root) -> list[dict[str, str]]:
    return summaries(f"{root}/metadata.sqlite")


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return tiny_tasks.write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file)


@pytest.fixture
def data(request, tmp_path):
    """A GLUE task's files."""
    return made_glue.write(request.param, tmp_path / request.param)


def check_figures(root) -> float:
    """TFX's Evaluator has measured what the fine-tuning says; returns the accuracy."""
    found = tfma.overall_metrics(str(output(root, "Evaluator", "evaluation")))
    results = json.loads((output(root, "ElectraFinetuner", "model") / "results.json").read_text())
    assert np.isfinite(found["matthews"])  # the model has given both answers
    for name, value in results["trials"][0]["metrics"]["dev"].items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    return found["accuracy"]


def check_answers(root, sentences: list[str]) -> None:
    """The one pushed version answers as the fine-tuned Keras model does."""
    (version,) = pathlib.Path(root, "serving").iterdir()
    signatures = tf.saved_model.load(str(version)).signatures
    answered = signatures["serving_default"](text=tf.constant(sentences))
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "sentence": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[text.encode()])
                    )
                }
            )
        ).SerializeToString()
        for text in sentences
    ]
    scores = signatures["classify"](inputs=tf.constant(examples))["scores"].numpy()

    task, network, tokenizer, _ = load_network(str(output(root, "ElectraFinetuner", "model")))
    rows = Sentences(list(range(len(sentences))), sentences)
    expected = predict_outputs(task, network, task.encode(rows, tokenizer, training=False))
    np.testing.assert_allclose(answered["probabilities"], expected["probabilities"], atol=1e-6)
    np.testing.assert_allclose(scores, expected["probabilities"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["CoLA"], indirect=True)
def test_cola_becomes_a_pushed_version_and_runs_again_from_the_cache(data, model, tmp_path):
    root = tmp_path / "root"
    arguments = ("cola", data, model, root)
    tiny_pipelines.run(command(*arguments))
    assert states(root) == [dict.fromkeys(NODES, "COMPLETE")]
    accuracy = check_figures(root)
    check_answers(root, ["The book was written by John.", "Him the seen has nobody?", ""])

    again = tiny_pipelines.run(command(*arguments))
    assert states(root)[1] == dict.fromkeys(NODES, "CACHED") | RESOLVED
    assert "Starting at step" not in again.stderr
    pushed = os.listdir(root / "serving")

    # A new model that is not good enough: only what depends on the config runs, nothing is pushed.
    tiny_pipelines.run(
        command(
            *arguments, f"--min_accuracy={min(accuracy + 0.3, 0.99):.2f}", train__num_epochs=11.0
        )
    )
    assert states(root)[2] == {
        node: "CACHED" if node in DATA_NODES else "COMPLETE" for node in NODES
    }
    check_figures(root)
    assert (output(root, "Evaluator", "blessing") / "NOT_BLESSED").exists()
    assert os.listdir(root / "serving") == pushed


@pytest.mark.slow
@pytest.mark.parametrize("data", ["SST-2"], indirect=True)
def test_sst_becomes_a_pushed_version(data, model, tmp_path):
    root = tmp_path / "root"
    tiny_pipelines.run(command("sst-2", data, model, root))
    assert states(root) == [dict.fromkeys(NODES, "COMPLETE")]
    check_figures(root)
    check_answers(root, ["a gripping film", "it never ends , alas", ""])


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("sts-b", {}, "TaskExampleGen: config.task.name must be a task with classes"),
        ("cola", {"data_dir": "missing"}, "TaskExampleGen: The data must be a directory.*missing"),
        ("cola", {"model": "missing"}, "pretrained-model: The model must be a directory.*missing"),
        ("cola", {"min_accuracy": 60.0}, r"Evaluator: min_accuracy must be in \[0, 1\].*60"),
    ],
)
def test_what_is_wrong_shows_before_anything_runs(task, arguments, message, model, tmp_path):
    tiny_tasks.write_task("cola", tmp_path / "data")
    given = {"data_dir": str(tmp_path / "data"), "model": model} | arguments
    with pytest.raises(ValueError, match=f"^{message}"):
        finetuning_pipeline.build(
            str(tmp_path / "root"), str(tmp_path / "serving"), glue.get_config(task), **given
        )
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.slow
def test_an_unknown_label_is_named_with_its_file(model, tmp_path):
    tiny_tasks.write_task("cola", tmp_path / "data")
    with open(tmp_path / "data" / "train.tsv", "a") as file:
        file.write("gj04\tmaybe\t\tthe model\n")
    result = tiny_pipelines.run(
        command("cola", tmp_path / "data", model, tmp_path / "root"), code=1
    )
    assert result.stderr.splitlines()[-1].startswith(
        "error: TaskExampleGen: A label must be one of 0, 1. Received: 'maybe' in "
    )
