"""Export, check and push: what TFX's Pusher makes of a model and of a damaged bundle."""

import json
import os
import pathlib

import numpy as np
import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)
from tfx.components.pusher.executor import Executor as PusherExecutor
from tfx.proto import pusher_pb2
from tfx.types import Channel, standard_artifacts
from tfx.utils import io_utils, proto_utils
from tiny_pipelines import artifact

from electra_tf.runs.prediction import predict
from electra_tf.tfx.components.exporter import ServingExporter, ServingExporterExecutor
from electra_tf.tfx.components.infra_check import BundleChecker, BundleCheckerExecutor
from tests.integration.random_finetuned import write_finetuned

MODEL = Channel(type=standard_artifacts.Model)
LABELS = ("no", "yes, or so", "maybe")
TEXTS = [
    "the model",
    "small networks for large data and a text that is too long for this model "
    "because it has more than twenty-four tokens",
    "the of the",
    "Über naïve!",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    directory = tmp_path_factory.mktemp("model") / "model"
    return artifact(
        standard_artifacts.Model,
        write_finetuned(directory, tiny_vocab_file, labels=json.dumps(LABELS)),
    )


@pytest.fixture(scope="module")
def servable(model, tmp_path_factory):
    made = artifact(standard_artifacts.Model, tmp_path_factory.mktemp("servable"), number=2)
    component = ServingExporter(MODEL, max_seq_length=20)
    ServingExporterExecutor().Do(
        {"model": [model]}, {"servable": [made]}, component.exec_properties
    )
    return made


def check(servable, model, folder):
    """What BundleChecker says, as an artifact."""
    folder.mkdir()
    blessing = artifact(standard_artifacts.InfraBlessing, folder)
    component = BundleChecker(MODEL, without_python=False)
    BundleCheckerExecutor().Do(
        {"servable": [servable], "model": [model]},
        {"blessing": [blessing]},
        component.exec_properties,
    )
    return blessing


def push(servable, blessing, folder):
    """Pushes a servable as the pipeline would; returns the versions in the serving directory."""
    pushed = artifact(standard_artifacts.PushedModel, folder / "pushed")
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(folder / "serving"))
    )
    PusherExecutor().Do(
        {"model": [servable], "infra_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return list((folder / "serving").iterdir()) if (folder / "serving").exists() else []


def test_the_pushed_version_answers_as_the_model_does(model, servable, tmp_path):
    assert os.listdir(servable.uri) == ["Format-Serving"]
    blessing = check(servable, model, tmp_path / "blessing")
    assert sorted(os.listdir(blessing.uri)) == ["INFRA_BLESSED", "report.json"]
    (version,) = push(servable, blessing, tmp_path)

    short = [text for text in TEXTS if len(text) < 40]
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in short)
    )
    predict(model.uri, str(tmp_path / "texts.jsonl"), str(tmp_path / "predicted.jsonl"))
    expected = [
        json.loads(line) for line in (tmp_path / "predicted.jsonl").read_text().splitlines()
    ]
    answered = tf.saved_model.load(str(version)).signatures["serving_default"](
        text=tf.constant(TEXTS)
    )
    assert answered["label"].numpy()[[0, 2, 3]].tolist() == [
        answer["label"].encode() for answer in expected
    ]
    np.testing.assert_allclose(
        answered["probabilities"].numpy()[[0, 2, 3]],
        [[answer["probabilities"][label] for label in LABELS] for answer in expected],
        atol=2e-6,
    )
    card = json.loads((version / "model_card.json").read_text())
    assert card["max_seq_length"] == 20
    assert (version / "assets.extra" / "tf_serving_warmup_requests").exists()


def test_a_damaged_bundle_is_not_pushed(model, servable, tmp_path):
    damaged = artifact(standard_artifacts.Model, tmp_path / "damaged", number=3)
    io_utils.copy_dir(servable.uri, damaged.uri)
    (pathlib.Path(damaged.uri) / "Format-Serving" / "assets" / "vocab.txt").unlink()
    blessing = check(damaged, model, tmp_path / "blessing")
    assert sorted(os.listdir(blessing.uri)) == ["INFRA_NOT_BLESSED", "report.json"]
    assert "must not be served" in blessing.get_string_custom_property("verdict")
    assert push(damaged, blessing, tmp_path) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"precision": "int8"},
            "ServingExporter: precision must be one of float32, bfloat16.*int8",
        ),
        ({"max_seq_length": 0}, "ServingExporter: max_seq_length must be at least 1.*0"),
        ({"max_seq_length": "16"}, "ServingExporter: max_seq_length must be an integer.*'16'"),
    ],
)
def test_refused_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ServingExporter(MODEL, **parameters)
