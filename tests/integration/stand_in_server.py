"""A stand-in for TensorFlow Serving, which cannot be installed by pip: for tests, on loopback.

It speaks the same two protocols, gRPC and REST, and does with a bundle what the server does: it
reads the signatures of `saved_model.pb` and runs the graph in a session, by the names of tensors.
It knows nothing of this project. What it lacks is all that makes a server one: batching, several
models, versions that come and go, warm-up, monitoring.

    python stand_in_server.py --model_name=electra --model_base_path=SERVING_DIR

serves the largest version and prints its ports as a line of JSON, {"grpc": …, "rest": …}.
"""

import argparse
import base64
import concurrent.futures
import http.server
import json
import os
import re
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

DEFAULT = "serving_default"
HTTP_STATUS = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
}
# The same model under names of trouble: one that never becomes ready, and one that takes long.
PRETENDED = {"loading": {"state": "LOADING"}, "slow": {"delay": 30}}
URL = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?"
    r"(?P<verb>:predict|:classify|:regress|/metadata|)"
)


class Refused(Exception):
    """What the server would answer instead of a result."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code


def _invalid(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


class Model:
    """The largest version under a path, in a session."""

    def __init__(self, name: str, base_path: str):
        self._names = {name, *PRETENDED}
        self.version = max(int(folder) for folder in os.listdir(base_path) if folder.isdecimal())
        graph = tf.Graph()
        with graph.as_default():
            self._session = tf.compat.v1.Session()
            self.signatures = tf.compat.v1.saved_model.load(
                self._session, ["serve"], os.path.join(base_path, str(self.version))
            ).signature_def

    def check(self, name: str, version: int | None) -> None:
        """Raises `Refused` if this model is not the one that is meant, or not there yet."""
        if (
            name not in self._names
            or version not in (None, self.version)
            or self._state(name) != "AVAILABLE"
        ):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        time.sleep(PRETENDED.get(name, {}).get("delay", 0))

    def _state(self, name: str) -> str:
        return PRETENDED.get(name, {}).get("state", "AVAILABLE")

    def status(self, name: str, version: int | None) -> get_model_status_pb2.GetModelStatusResponse:
        if name not in self._names:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        if version not in (None, self.version):
            raise Refused(
                grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {name}"
            )
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add(version=self.version, state=self._state(name))
        status.status.SetInParent()
        return response

    def metadata(self) -> get_model_metadata_pb2.SignatureDefMap:
        return get_model_metadata_pb2.SignatureDefMap(signature_def=self.signatures)

    def signature(
        self,
        name: str,
        code=grpc.StatusCode.FAILED_PRECONDITION,
        message='Serving signature key "{}" not found.',
    ):
        name = name or DEFAULT
        if name not in self.signatures:
            raise Refused(code, message.format(name))
        return self.signatures[name]

    def run(self, signature, inputs: dict) -> dict[str, np.ndarray]:
        """Feeds arrays by the names of a signature's inputs; its outputs by their names."""
        extra, missing = (
            ",".join(sorted(names))
            for names in (
                inputs.keys() - signature.inputs.keys(),
                signature.inputs.keys() - inputs.keys(),
            )
        )
        if extra or missing:
            raise _invalid(
                f"input size does not match signature: {len(inputs)}!="
                f"{len(signature.inputs)}. Sent extra: {{{extra}}}. "
                f"Missing but required: {{{missing}}}."
            )
        try:
            return self._session.run(
                {name: info.name for name, info in signature.outputs.items()},
                {signature.inputs[name].name: value for name, value in inputs.items()},
            )
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            raise _invalid(str(error)) from error

    def run_examples(self, method: str, signature: str, examples) -> dict[str, np.ndarray]:
        """Classify or Regress: serialized tf.Examples to the output that the RPC asks for."""
        definition = self.signature(signature)
        wanted = f"tensorflow/serving/{method}"
        if definition.method_name != wanted:
            raise _invalid(
                f"Expected {method} signature method_name to be {wanted}. "
                f"Was: {definition.method_name}"
            )
        return self.run(
            definition,
            {"inputs": np.array([example.SerializeToString() for example in examples], object)},
        )


def _version(spec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _answering(method):
    """A method of a service whose refusals become the status of the call."""

    def answer(self, request, context):
        try:
            return method(self, request)
        except Refused as error:
            context.abort(error.code, str(error))

    return answer


class Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """The gRPC side."""

    def __init__(self, model: Model):
        self._model = model

    def _check(self, request):
        self._model.check(request.model_spec.name, _version(request.model_spec))

    @_answering
    def Predict(self, request):  # noqa: N802
        self._check(request)
        spec, response = request.model_spec, predict_pb2.PredictResponse()
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        outputs = self._model.run(self._model.signature(spec.signature_name), inputs)
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        self._name(response.model_spec, spec)
        return response

    @_answering
    def Classify(self, request):  # noqa: N802
        self._check(request)
        response = classification_pb2.ClassificationResponse()
        outputs = self._model.run_examples(
            "classify", request.model_spec.signature_name, request.input.example_list.examples
        )
        for labels, scores in zip(outputs["classes"], outputs["scores"]):
            row = response.result.classifications.add()
            for label, score in zip(labels, scores):
                row.classes.add(label=label.decode(), score=score)
        self._name(response.model_spec, request.model_spec)
        return response

    @_answering
    def Regress(self, request):  # noqa: N802
        self._check(request)
        response = regression_pb2.RegressionResponse()
        outputs = self._model.run_examples(
            "regress", request.model_spec.signature_name, request.input.example_list.examples
        )
        for value in outputs["outputs"][:, 0]:
            response.result.regressions.add(value=value)
        self._name(response.model_spec, request.model_spec)
        return response

    @_answering
    def GetModelMetadata(self, request):  # noqa: N802
        self._check(request)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(self._model.metadata())
        self._name(response.model_spec, request.model_spec)
        return response

    @_answering
    def GetModelStatus(self, request):  # noqa: N802
        return self._model.status(request.model_spec.name, _version(request.model_spec))

    def _name(self, spec, asked):
        spec.CopyFrom(asked)
        spec.version.value = self._model.version


def _array(value, dtype):
    """An array of JSON: nested lists of numbers, strings and {"b64": …}."""

    def decoded(part):
        if isinstance(part, list):
            return [decoded(item) for item in part]
        if isinstance(part, dict) and part.keys() == {"b64"}:
            return base64.b64decode(part["b64"])
        is_right = (
            isinstance(part, str)
            if dtype.as_numpy_dtype is object
            else type(part) is int and dtype.min <= part <= dtype.max
            if dtype.is_integer
            else type(part) in (int, float)
        )
        if not is_right:
            raise _invalid(f"JSON Value: {json.dumps(part)} is not of expected type: {dtype.name}")
        return part.encode(errors="surrogateescape") if isinstance(part, str) else part

    try:
        return np.array(decoded(value), dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise _invalid(f"JSON Value: {json.dumps(value)} {error}") from error


def _plain(value):
    """JSON of an array; a float32 as the shortest number that gives it back."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return float(str(value)) if isinstance(value, np.floating) else value.item()


def predict(model: Model, body: dict) -> dict:
    """The verb :predict, by rows ("instances") or by columns ("inputs")."""
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise _invalid("'signature_name' key must be a string value.")
    if ("instances" in body) == ("inputs" in body):
        raise _invalid("Missing 'inputs' or 'instances' key")
    signature = model.signature(
        name,
        grpc.StatusCode.INVALID_ARGUMENT,
        'Serving signature name: "{}" not found in signature def',
    )
    dtypes = {name: tf.as_dtype(info.dtype) for name, info in signature.inputs.items()}
    values, by_row = body.get("instances", body.get("inputs")), "instances" in body
    if by_row and not (isinstance(values, list) and values):
        raise _invalid("No values in 'instances' array")
    if by_row and isinstance(values[0], dict) and values[0].keys() != {"b64"}:
        if any(not isinstance(row, dict) or row.keys() != values[0].keys() for row in values):
            raise _invalid("Failed to process element of 'instances' list")
        values = {name: [row[name] for row in values] for name in values[0]}
    elif not isinstance(values, dict) or values.keys() == {"b64"}:
        if len(dtypes) != 1:
            raise _invalid("no named input, and the signature has several")
        values = {next(iter(dtypes)): values}
    for name in values.keys() - dtypes.keys():
        raise _invalid(f"JSON object: does not have named input: {name}")
    outputs = model.run(
        signature, {name: _array(value, dtypes[name]) for name, value in values.items()}
    )
    columns = {name: _plain(value) for name, value in outputs.items()}
    if len(columns) == 1:
        (column,) = columns.values()
        return {"predictions" if by_row else "outputs": column}
    if by_row:
        return {"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]}
    return {"outputs": columns}


def classify_or_regress(model: Model, verb: str, body: dict) -> dict:
    """The verbs :classify and :regress, of text features."""
    examples = []
    for fields in body["examples"]:
        features = {
            name: tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[_array(text, tf.string).item()])
            )
            for name, text in fields.items()
        }
        examples.append(tf.train.Example(features=tf.train.Features(feature=features)))
    outputs = model.run_examples(verb, body.get("signature_name", ""), examples)
    if verb == "regress":
        return {"results": _plain(outputs["outputs"][:, 0])}
    return {
        "results": [
            [list(pair) for pair in zip(_plain(labels), _plain(scores))]
            for labels, scores in zip(outputs["classes"], outputs["scores"])
        ]
    }


def rest_answer(model: Model, method: str, path: str, body: bytes) -> dict:
    """The answer to a request as JSON; raises `Refused`."""
    match = URL.fullmatch(path)
    verb = match and match["verb"]
    if not match or (method == "POST") != verb.startswith(":"):
        raise _invalid(f"Malformed request: {method} {path}")
    name, version = match["name"], match["version"] and int(match["version"])
    if not verb:
        return _json(model.status(name, version))
    model.check(name, version)
    if verb == "/metadata":
        return {
            "model_spec": {"name": name, "signature_name": "", "version": str(model.version)},
            "metadata": {"signature_def": _json(model.metadata())},
        }
    try:
        parsed = json.loads(body.decode(errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise _invalid(f"JSON Parse error: {error}") from error
    if not isinstance(parsed, dict):
        raise _invalid("JSON Value: Is not object")
    if verb == ":predict":
        return predict(model, parsed)
    return classify_or_regress(model, verb[1:], parsed)


def _json(message) -> dict:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def rest_server(model: Model, port: int) -> http.server.ThreadingHTTPServer:
    """The REST side."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _reply(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, answer = 200, rest_answer(model, self.command, self.path, body)
            except Refused as error:
                status, answer = HTTP_STATUS[error.code], {"error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _reply  # noqa: N815

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_name", default="electra")
    parser.add_argument("--model_base_path", required=True)
    options = parser.parse_args()
    model = Model(options.model_name, options.model_base_path)
    rest = rest_server(model, 0)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(4),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    services = Services(model)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"grpc": port, "rest": rest.server_port}), flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
