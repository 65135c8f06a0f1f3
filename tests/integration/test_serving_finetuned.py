"""Fine-tuned models behind a server's protocols, and what the client shows of them."""

import re
import subprocess
import sys

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from servers import stand_in
from tensorflow_serving.apis import (
    classification_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from electra_tf.serving.bundle import export_run
from electra_tf.serving.client.answers import rows_of
from electra_tf.serving.client.protocols import new_client
from tests.integration.random_finetuned import write_finetuned
from tests.integration.test_export_finetuned import KINDS, LABELS
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

pytestmark = pytest.mark.slow  # an export and a server of each kind

TEXTS = ["the model of words", "", "Über naïve data, trained."]
FIELDS = {
    "classification": ["review"],
    "multi_label": ["text"],
    "regression": ["sentence1", "sentence2"],
}


@pytest.fixture(
    scope="module", params=["classification", "multi_label", "regression", "tagging", "squad"]
)
def served(request, tmp_path_factory, tiny_vocab_file):
    """The kind of a model, and its server's addresses."""
    folder = tmp_path_factory.mktemp(request.param)
    path = write_finetuned(folder / "model", tiny_vocab_file, **KINDS[request.param])
    export_run(path, str(folder / "serving"))
    with stand_in(folder / "serving") as ports:
        yield request.param, ports


def _request(kind, new_request, signature):
    request = new_request()
    request.model_spec.name, request.model_spec.signature_name = "electra", signature
    for text in TEXTS:
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
            for name in FIELDS[kind]
        }
        request.input.example_list.examples.append(
            tf.train.Example(features=tf.train.Features(feature=feature))
        )
    return request


def _predicted(kind, ports):
    names = ["text", "text_pair"][: len(FIELDS[kind])]
    response = requests.post(
        f"http://{ports['rest']}/v1/models/electra:predict",
        json={"inputs": {name: TEXTS for name in names}},
    )
    return response.json()["outputs"]


def _rest(ports, kind, verb):
    return requests.post(
        f"http://{ports['rest']}/v1/models/electra:{verb}",
        json={
            "signature_name": verb,
            "examples": [{name: text for name in FIELDS[kind]} for text in TEXTS],
        },
    ).json()["results"]


@pytest.mark.parametrize("served", ["regression"], indirect=True)
def test_regress(served):
    kind, ports = served
    request = _request(kind, regression_pb2.RegressionRequest, "regress")
    with grpc.insecure_channel(ports["grpc"]) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        rows = service.Regress(request, timeout=TIME_LIMIT).result.regressions
    scores = [row.value for row in rows]
    np.testing.assert_allclose(scores, _predicted(kind, ports), atol=1e-5)
    np.testing.assert_allclose(_rest(ports, kind, "regress"), scores, atol=1e-6)


@pytest.mark.parametrize("served", ["classification", "multi_label"], indirect=True)
def test_classify(served):
    kind, ports = served
    request = _request(kind, classification_pb2.ClassificationRequest, "classify")
    with grpc.insecure_channel(ports["grpc"]) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = service.Classify(request, timeout=TIME_LIMIT).result.classifications
        request.model_spec.signature_name = "serving_default"  # is one of Predict
        with pytest.raises(grpc.RpcError) as error:
            service.Classify(request, timeout=TIME_LIMIT)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert all([one.label for one in row.classes] == list(LABELS) for row in answer)
    scores = [[one.score for one in row.classes] for row in answer]
    np.testing.assert_allclose(scores, _predicted(kind, ports)["probabilities"], atol=1e-5)
    rest = _rest(ports, kind, "classify")
    assert [[label for label, _ in row] for row in rest] == [list(LABELS)] * len(TEXTS)
    np.testing.assert_allclose([[score for _, score in row] for row in rest], scores, atol=1e-6)


INPUTS = {
    "regression": ["--text=the model", "--text_pair=the data"],
    "squad": ["--question=which model?", "--context=the model of the data"],
}
SHOWN = {
    "classification": r"(.+)  \((\1 0\.\d{3}(, .+ 0\.\d{3}){3})\)",
    "multi_label": r".+  \((.+ [01]\.\d{3}(, |\))){4}",
    "regression": r"-?\d+\.\d{4}",
    "tagging": r"the(/[BI]-\w+)? model(/[BI]-\w+)? of(/[BI]-\w+)?",
    "squad": r".+  \(score -\d+\.\d{3}, null score -?\d+\.\d{3}\)",
}


def _asked(kind):
    """Inputs of one call and the client's flags for them."""
    flags = INPUTS.get(kind, ["--text=the model of"])
    return dict(flag.removeprefix("--").split("=") for flag in flags), flags


def test_client_shows_answers(served):
    kind, ports = served
    inputs, flags = _asked(kind)
    answers = []
    for protocol in ("grpc", "rest"):
        client = new_client(protocol, ports[protocol], "electra", timeout=TIME_LIMIT)
        columns = client.predict({name: [text] for name, text in inputs.items()}, "serving_default")
        answers += rows_of(columns)
    assert answers[0].keys() == answers[1].keys()
    for name, value in answers[0].items():
        if np.asarray(value).dtype.kind == "f":
            np.testing.assert_allclose(value, answers[1][name], atol=1e-6)
        else:
            assert value == answers[1][name]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "client",
            f"--target={ports['rest']}",
            "--protocol=rest",
            f"--timeout={TIME_LIMIT}",
            *flags,
        ],
        text=True,
        capture_output=True,
        cwd=ROOT,
        timeout=TIME_LIMIT,
        check=True,
    )
    assert re.fullmatch(SHOWN[kind] + "\n", result.stdout), result.stdout
    if kind == "classification":
        best = int(np.argmax(answers[0]["probabilities"]))
        assert result.stdout.startswith(answers[0]["labels"][best] + "  (")
    if kind == "squad":
        assert result.stdout.startswith((answers[0]["answer"] or "(no answer)") + "  (")
