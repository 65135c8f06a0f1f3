"""TFX's Evaluator on the signature `classify`: its figures and its blessing."""

import json
import os
import string

import numpy as np
import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tensorflow as tf
from sklearn import metrics as sklearn_metrics
from tfx.components.evaluator.executor import Executor as EvaluatorExecutor
from tfx.types import standard_artifacts
from tfx.utils import proto_utils
from tiny_pipelines import artifact

from electra_tf.runs.prediction import predict
from electra_tf.tfx import tfma
from electra_tf.tfx.components import exporter
from tests.integration.random_finetuned import write_finetuned

NUM_TEXTS, MOST = 1500, 30  # texts to choose from, and how many of each predicted class to take
LABELS = {2: ("not, so", "right"), 3: ("b", "c", "a")}
CHARACTERS = list(string.ascii_lowercase + string.digits + string.punctuation)


def write_examples(directory, model, labels) -> tuple[np.ndarray, np.ndarray]:
    """Writes examples that a model gets right more often than not.

    Returns:
        The right classes int [N] and the probabilities float [N, C] by the library's own predict.
    """
    random = np.random.default_rng(0)
    texts = np.array(
        [" ".join(random.choice(CHARACTERS, random.integers(1, 12))) for _ in range(NUM_TEXTS)]
    )
    source, output = directory / "texts.jsonl", directory / "predicted.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    predict(model, str(source), str(output))
    probabilities = np.array(
        [
            list(json.loads(line)["probabilities"].values())
            for line in output.read_text().splitlines()
        ]
    )
    predicted = probabilities.argmax(-1)  # most often the same, as weights are random
    taken = np.concatenate(
        [np.flatnonzero(predicted == number)[:MOST] for number in range(len(labels))]
    )
    texts, right, probabilities = texts[taken], predicted[taken], probabilities[taken]
    wrong = random.random(len(right)) < 0.4
    right[wrong] = random.integers(0, len(labels), wrong.sum())
    folder = directory / "examples" / "Split-eval"
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "data.gz"), "GZIP") as writer:
        for text, number in zip(texts, right):
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                for name, value in (("text", text), ("label", labels[number]))
            }
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
            )
    return right, probabilities


def evaluate(folder, servable, examples, baseline=None, **thresholds):
    """Runs TFX's Evaluator; returns its metrics and whether it blesses."""
    outputs = {
        "evaluation": artifact(standard_artifacts.ModelEvaluation, folder / "evaluation"),
        "blessing": artifact(standard_artifacts.ModelBlessing, folder / "blessing"),
    }
    for made in outputs.values():
        os.makedirs(made.uri)
    inputs = {"examples": [examples], "model": [servable]}
    config = tfma.eval_config(**thresholds)
    EvaluatorExecutor().Do(
        inputs | ({"baseline_model": [baseline]} if baseline else {}),
        {key: [made] for key, made in outputs.items()},
        {
            "eval_config": proto_utils.proto_to_json(config),
            "module_path": tfma.MODULE,
            "example_splits": "null",
        },
    )
    blessed = bool(outputs["blessing"].get_int_custom_property("blessed"))
    assert os.listdir(outputs["blessing"].uri) == ["BLESSED" if blessed else "NOT_BLESSED"]
    return tfma.overall_metrics(outputs["evaluation"].uri), blessed


@pytest.fixture(scope="module", params=[2, 3], ids=["two_labels", "three_labels"])
def judged(request, tmp_path_factory, tiny_vocab_file):
    """Labels, a servable, Examples, and what the library itself says about them."""
    labels, directory = LABELS[request.param], tmp_path_factory.mktemp("judged")
    model = write_finetuned(directory / "model", tiny_vocab_file, labels=json.dumps(labels))
    right, probabilities = write_examples(directory, model, labels)
    exporter.export(model, str(directory / "servable" / "Format-Serving"))
    examples = artifact(standard_artifacts.Examples, directory / "examples", split_names='["eval"]')
    servable = artifact(standard_artifacts.Model, directory / "servable", number=2)
    return labels, servable, examples, right, probabilities


@pytest.mark.slow
def test_metrics_are_those_of_the_library_and_decide_the_blessing(judged, tmp_path):
    labels, servable, examples, right, probabilities = judged
    accuracy = float(np.mean(right == probabilities.argmax(-1)))
    assert 0.5 < accuracy < 0.9 and len(set(probabilities.argmax(-1))) > 1
    found, blessed = evaluate(
        tmp_path / "1", servable, examples, labels=labels, min_accuracy=accuracy
    )
    assert blessed
    assert found["accuracy"] == accuracy and found["example_count"] == len(right)
    # Probabilities were read from a file with six decimals.
    exact = probabilities / probabilities.sum(-1, keepdims=True)
    assert found["log_loss"] == pytest.approx(
        sklearn_metrics.log_loss(right, exact, labels=range(len(labels))), abs=1e-5
    )
    if len(labels) == 2:
        predicted = probabilities.argmax(-1)
        expected = {
            "matthews": sklearn_metrics.matthews_corrcoef(right, predicted),
            "f1": sklearn_metrics.f1_score(right, predicted),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected)
        # TFMA's histogram of 10,000 thresholds stands for the curve.
        assert found["auc"] == pytest.approx(
            sklearn_metrics.roc_auc_score(right, probabilities[:, 1]), abs=2e-3
        )
    _, blessed = evaluate(
        tmp_path / "2", servable, examples, labels=labels, min_accuracy=accuracy + 1e-9
    )
    assert not blessed


@pytest.mark.slow
def test_a_baseline_must_be_reached(judged, tmp_path):
    labels, servable, examples, _, _ = judged
    for number, (min_change, expected) in enumerate(((0.0, True), (1e-6, False))):
        _, blessed = evaluate(
            tmp_path / str(number),
            servable,
            examples,
            baseline=servable,
            labels=labels,
            min_change=min_change,
        )
        assert blessed is expected
