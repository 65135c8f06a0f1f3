"""An exported model behind a server's protocols, and the client that asks it.

TensorFlow Serving itself is no package of pip: `stand_in_server.py` takes its place.
"""

import ast
import json
import pathlib
import subprocess
import sys

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
import tiny_tasks
from servers import stand_in
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from electra_tf.serving.bundle import export_run
from electra_tf.serving.client.protocols import new_client
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

NUM_LINES = 200
BATCHES = (1, 3, 32, 64, 100)  # of these lines, together all


@pytest.fixture(scope="module")
def lines(wikipedia_lines) -> list[str]:
    return list(filter(None, wikipedia_lines))[:NUM_LINES]


@pytest.fixture(scope="module")
def model(tmp_path_factory, uncased_vocab_file):
    """A model directory of random weights, large enough that probabilities differ."""
    return tiny_tasks.write_model(
        tmp_path_factory.mktemp("model") / "model", uncased_vocab_file, max_positions=128
    )


@pytest.fixture(scope="module")
def serving(model):
    """Two versions; the first is empty, so whoever took it would fail."""
    directory = pathlib.Path(model).parent / "serving"
    (directory / "1").mkdir(parents=True)
    export_run(model, str(directory), version=2)
    return directory


@pytest.fixture(scope="module")
def server(serving):
    with stand_in(serving) as ports:
        yield ports


@pytest.fixture(scope="module")
def expected(model, lines):
    """Probabilities of each line by the Keras model, in batches of other lines than served."""
    import electra_tf

    keras_model = electra_tf.load(model)
    assert len(set(map(len, lines))) > 20
    results = [None] * len(lines)
    for start in range(10):
        batch = keras_model.tokenizer.batch(lines[start::10], max_seq_length=128)
        rows = 1 / (1 + np.exp(-np.asarray(keras_model(batch), np.float64)))
        for place, row, mask in zip(range(start, len(lines), 10), rows, batch["input_mask"]):
            results[place] = row[: int(np.sum(mask))]
    assert np.std(np.concatenate(results)) > 0.02  # the comparison means something
    return results


def _assert_equal(answers, expected):
    assert len(answers) == len(expected) == NUM_LINES
    for answer, probabilities in zip(answers, expected):
        length = len(probabilities)
        assert sum(answer["mask"]) == length
        np.testing.assert_allclose(
            answer["replaced_probability"][:length], probabilities, atol=1e-5
        )
        assert not any(answer["replaced_probability"][length:])


@pytest.fixture(scope="module")
def batches(lines):
    ends = np.cumsum(BATCHES)
    assert ends[-1] == len(lines)
    return [lines[end - size : end] for size, end in zip(BATCHES, ends)]


def test_grpc_answers_are_the_keras_models(server, batches, expected):
    answers = []
    with grpc.insecure_channel(server["grpc"]) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for batch in batches:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "electra"
            request.inputs["text"].CopyFrom(tf.make_tensor_proto(batch))
            response = service.Predict(request, timeout=TIME_LIMIT)
            assert response.model_spec.version.value == 2  # the largest
            outputs = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
            answers += [dict(zip(outputs, row)) for row in zip(*outputs.values())]
    _assert_equal(answers, expected)


def test_rest_answers_are_the_keras_models(server, batches, expected):
    url, answers = f"http://{server['rest']}/v1/models/electra:predict", []
    for batch in batches:
        response = requests.post(url, json={"instances": [{"text": text} for text in batch]})
        answers += response.json()["predictions"]
    _assert_equal(answers, expected)
    columns = requests.post(
        url, json={"inputs": batches[1], "signature_name": "detect_replaced"}
    ).json()["outputs"]
    for row in range(BATCHES[1]):
        assert columns["tokens"][row] == answers[1 + row]["tokens"]
        np.testing.assert_allclose(
            columns["replaced_probability"][row],
            answers[1 + row]["replaced_probability"],
            atol=1e-6,
        )


def test_an_unknown_model_is_not_found(server):
    with grpc.insecure_channel(server["grpc"]) as channel:
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        request = predict_pb2.PredictRequest()
        status = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = status.model_spec.name = "elektra"
        request.inputs["text"].CopyFrom(tf.make_tensor_proto(["a"]))
        for call, message in ((predictions.Predict, request), (models.GetModelStatus, status)):
            with pytest.raises(grpc.RpcError) as error:
                call(message, timeout=TIME_LIMIT)
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
    response = requests.post(
        f"http://{server['rest']}/v1/models/elektra:predict", json={"inputs": ["a"]}
    )
    assert response.status_code == 404
    assert response.json() == {"error": "Servable not found for request: Latest(elektra)"}


def test_the_stand_in_knows_nothing_of_the_project():
    tree = ast.parse((ROOT / "tests" / "integration" / "stand_in_server.py").read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert foreign == {
        "google",
        "grpc",
        "numpy",
        "tensorflow",
        "tensorflow_serving",
        "tensorflow_text",
    }


def _client(*flags, text: str = ""):
    result = subprocess.run(
        [sys.executable, "-m", "electra_tf", "client", f"--timeout={TIME_LIMIT}", *flags],
        text=True,
        input=text,
        capture_output=True,
        cwd=ROOT,
        timeout=TIME_LIMIT,
    )
    return result.returncode, result.stdout, result.stderr.strip()


def test_client_shows_words_by_both_protocols(server):
    texts = ["--text=The model was trained.", "--text=", "--threshold=0.01"]
    shown = [
        _client(f"--target={server[protocol]}", f"--protocol={protocol}", *texts)
        for protocol in ("grpc", "rest")
    ]
    assert shown[0] == shown[1]
    code, out, error = shown[0]
    assert (code, error) == (0, "")
    assert out.startswith("The[0.") and out.count("[0.") == 5 and "\x1b" not in out


def test_client_reads_many_texts_and_writes_json(server, batches, tmp_path):
    batch = [text for text in batches[2] if "\t" not in text]
    flags = [f"--target={server['rest']}", "--protocol=rest", "--json", "--batch_size=5"]
    code, out, _ = _client(*flags, "--file=-", text="\n\n".join(batch))
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [answer["text"] for answer in answers] == batch
    direct = new_client("rest", server["rest"], "electra").predict(
        {"text": batch}, "serving_default"
    )
    for answer, probabilities in zip(answers, direct["replaced_probability"]):
        number = len(answer["replaced_probability"])  # padded to its own batch
        np.testing.assert_allclose(
            answer["replaced_probability"], probabilities[:number], atol=1e-5
        )
    path = tmp_path / "texts.tsv"
    path.write_text("one\ttwo\nthree\n")
    code, _, error = _client(*flags, f"--file={path}", "--fields=text,text_pair")
    assert code == 1 and "2 fields between tabs (text, text_pair). Received: 1 in line 2" in error


def test_client_colours_are_for_terminals(server):
    flags = [
        f"--target={server['rest']}",
        "--protocol=rest",
        "--text=the models",
        "--threshold=0.01",
    ]
    assert "\x1b[30;48;5;" in _client(*flags, "--colour=always")[1]
    assert "the[0." in _client(*flags)[1]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
@pytest.mark.parametrize(
    ("changes", "inputs", "signature", "message"),
    [
        (
            {"model": "elektra"},
            ["text"],
            "serving_default",
            "must know the model. Received: elektra",
        ),
        ({"version": 7}, ["text"], "serving_default", "version 2 is AVAILABLE. Received: 7"),
        ({}, ["text"], "encoed", 'refuses the request .*"encoed'),
        ({}, ["question"], "serving_default", "refuses the request .*question"),
    ],
)
def test_what_the_server_refuses(server, protocol, changes, inputs, signature, message):
    client = new_client(protocol, **{"target": server[protocol], "model": "electra"} | changes)
    with pytest.raises(ValueError, match=message):
        client.predict({name: ["a"] for name in inputs}, signature)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_server_ranks_as_the_model_does(server, protocol, model, lines):
    import electra_tf

    lists = [lines[:3], [lines[4]], ["one two", "two one", "one two"]]
    client = new_client(protocol, server[protocol], "electra")
    expected = electra_tf.load(model).rank(lists)
    assert len({ranked["scores"][0] for ranked in expected}) == 3
    for ranked, ours in zip(client.rank(lists), expected, strict=True):
        assert ranked["best"] == ours["best"]
        assert ranked["scores"] == pytest.approx(ours["scores"], abs=1e-3)
    assert client.rank([]) == []


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_servers_that_do_not_answer(server, protocol):
    other = server["rest" if protocol == "grpc" else "grpc"]
    for target in ("localhost:1", other):  # nobody, and one who speaks another protocol
        with pytest.raises(ConnectionError, match=f"no server answers at {target} .*8500.*8501"):
            new_client(protocol, target, "electra").predict({"text": ["a"]}, "serving_default")


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_models_that_are_slow_or_not_ready(server, protocol):
    with pytest.raises(ConnectionError, match="not ready: version 2 is LOADING"):
        new_client(protocol, server[protocol], "loading").predict(
            {"text": ["a"]}, "serving_default"
        )
    with pytest.raises(TimeoutError, match="did not answer within 0.5 s"):
        new_client(protocol, server[protocol], "slow", timeout=0.5).predict(
            {"text": ["a"]}, "serving_default"
        )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--target=localhost:1", "--protocol=rest", "--text=a"], "Connection refused"),
        (["--target=http://localhost", "--text=a"], "must be HOST:PORT, such as localhost:8500"),
        (["--target=localhost:70000", "--text=a"], "must be HOST:PORT"),
        (["--target=localhost"], "from --file. Received: neither"),
        (
            ["--target=localhost", "--question=a", "--question=b", "--context=c"],
            "--question 2 times, --context 1 times",
        ),
        (["--target=localhost", "--text=a", "--timeout=0"], "timeout must be in (0, "),
    ],
)
def test_client_errors_are_one_line(flags, message):
    code, out, error = _client(*flags)
    assert code == 1 and not out and message in error and "\n" not in error
