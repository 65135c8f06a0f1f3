"""Asks a model server: gRPC or REST in, lists out, and errors that say what to do."""

import abc
import re

from electra_tf import checks
from electra_tf.serving.client.answers import plain

DEFAULT_PORTS = {"grpc": 8500, "rest": 8501}  # TensorFlow Serving's
_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(?::(?P<port>\d{1,5}))?")


class Client(abc.ABC):
    """One model of a server.

    Args:
        target: HOST:PORT.
        model: its name at the server.
        version: None: the one that the server takes, its largest.
        timeout: seconds until a call is given up.
    """

    def __init__(self, target: str, model: str, version: int | None = None, timeout: float = 10.0):
        self.target, self.model, self.version, self.timeout = target, model, version, timeout

    @abc.abstractmethod
    def predict(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
        """Calls a signature with strings.

        Args:
            inputs: lists of equal length by the names of the inputs.
            signature: such as serving_default.

        Returns:
            Nested lists by the names of the outputs, one entry per text in each.

        Raises:
            ValueError: the server has no such model or signature, or refuses the inputs.
            ConnectionError: no answer, because of the server or the way to it.
        """

    @abc.abstractmethod
    def _versions(self) -> dict[int, str]:
        """The states of the model's versions; empty where the server knows no such model."""

    def _missing(self, message: str) -> Exception:
        """The error to raise when the server does not find the model."""
        states = self._versions()
        known = ", ".join(f"version {number} is {state}" for number, state in states.items())
        if not states:
            return ValueError(f"The server at {self.target} must know the model. Received: "
                              f"{self.model}, which it does not have ({message}); set --model_name "
                              f"to the server's")
        if self.version is not None and self.version not in states:
            return ValueError(f"The version must be one that the server has: {known}. Received: "
                              f"{self.version}")
        return ConnectionError(f"{self.model} at {self.target} is not ready: {known}. Try again "
                               f"when it is AVAILABLE")

    def _silent(self, detail: str) -> ConnectionError:
        return ConnectionError(f"no server answers at {self.target} ({detail}). Is it running, and "
                               f"is this its port of the protocol? By default gRPC has "
                               f"{DEFAULT_PORTS['grpc']} and REST {DEFAULT_PORTS['rest']}")

    def _late(self) -> TimeoutError:
        return TimeoutError(f"{self.target} did not answer within {self.timeout:g} s: raise "
                            f"--timeout, or ask for less at once")


class RestClient(Client):
    """Over HTTP and JSON. Arguments as of `Client`."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        import requests

        self._requests, self._session = requests, requests.Session()

    def predict(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
        response = self.call("POST", ":predict", {"signature_name": signature, "inputs": inputs})
        if response.status_code == 404:
            raise self._missing(_message(response))
        outputs = self._content(response)["outputs"]
        # The only output of a signature comes without its name.
        return outputs if isinstance(outputs, dict) else {self._only_output(signature): outputs}

    def _versions(self) -> dict[int, str]:
        response = self._request("GET", self.model)
        if response.status_code == 404:
            return {}
        return {int(status["version"]): status["state"]
                for status in self._content(response)["model_version_status"]}

    def _only_output(self, signature: str) -> str:
        content = self._content(self.call("GET", "/metadata"))
        (name,) = content["metadata"]["signature_def"]["signature_def"][signature]["outputs"]
        return name

    def call(self, method: str, verb: str, content: dict | None = None):
        """The `requests.Response` to a request about the model.

        Args:
            method: GET or POST.
            verb: end of the URL, such as ":predict".
            content: sent as JSON.

        Raises:
            ConnectionError, TimeoutError: there is none.
        """
        path = self.model if self.version is None else f"{self.model}/versions/{self.version}"
        return self._request(method, path + verb, content)

    def _request(self, method: str, path: str, content: dict | None = None):
        exceptions = self._requests.exceptions
        try:
            return self._session.request(method, f"http://{self.target}/v1/models/{path}",
                                         json=content, timeout=self.timeout)
        except exceptions.Timeout as error:
            raise self._late() from error
        except exceptions.RequestException as error:
            raise self._silent(_reason(error)) from error

    def _content(self, response) -> dict:
        if not response.ok:
            raise ValueError(f"{self.target} refuses the request (HTTP {response.status_code}): "
                             f"{_message(response)}")
        try:
            return response.json()
        except ValueError as error:
            raise self._silent("what answers is no model server") from error


class GrpcClient(Client):
    """Over gRPC. Arguments as of `Client`."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import (
            get_model_status_pb2,
            model_service_pb2_grpc,
            predict_pb2,
            prediction_service_pb2_grpc,
        )

        self._grpc, self._tensorflow = grpc, tf
        self._predict_request = predict_pb2.PredictRequest
        self._status_request = get_model_status_pb2.GetModelStatusRequest
        self._state_name = get_model_status_pb2.ModelVersionStatus.State.Name
        # Answers to many long texts are larger than the 4 MiB that gRPC takes by default.
        channel = grpc.insecure_channel(self.target, options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
        tf, request = self._tensorflow, self._predict_request()
        request.model_spec.name, request.model_spec.signature_name = self.model, signature
        if self.version is not None:
            request.model_spec.version.value = self.version
        for name, texts in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(texts, tf.string))
        try:
            response = self._predictions.Predict(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            if error.code() == self._grpc.StatusCode.NOT_FOUND:
                raise self._missing(error.details()) from error
            raise self._error(error) from error
        return {name: plain(tf.make_ndarray(value)) for name, value in response.outputs.items()}

    def _versions(self) -> dict[int, str]:
        request = self._status_request()
        request.model_spec.name = self.model
        try:
            response = self._models.GetModelStatus(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            if error.code() == self._grpc.StatusCode.NOT_FOUND:
                return {}
            raise self._error(error) from error
        return {status.version: self._state_name(status.state)
                for status in response.model_version_status}

    def _error(self, error) -> Exception:
        codes = self._grpc.StatusCode
        if error.code() == codes.DEADLINE_EXCEEDED:
            return self._late()
        if error.code() in (codes.UNAVAILABLE, codes.UNIMPLEMENTED, codes.UNKNOWN):
            return self._silent(error.details())
        return ValueError(f"{self.target} refuses the request ({error.code().name}): "
                          f"{error.details()}")


def new_client(protocol: str, target: str, model: str, version: int | None = None,
               timeout: float = 10.0) -> Client:
    """A client of `protocol`, grpc or rest; else as `Client`, but the port may be missing."""
    checks.one_of("protocol", protocol, tuple(DEFAULT_PORTS))
    checks.between("timeout", timeout, 0, 86400)
    kind = GrpcClient if protocol == "grpc" else RestClient
    return kind(address(target, DEFAULT_PORTS[protocol]), model, version, timeout)


def address(target: str, default_port: int) -> str:
    """HOST:PORT of HOST or HOST:PORT; raises ValueError for anything else."""
    match = _ADDRESS.fullmatch(target)
    if not match or int(match["port"] or 1) not in range(1, 65536):
        raise ValueError(f"A target must be HOST:PORT, such as localhost:{default_port}. "
                         f"Received: {target}")
    return target if match["port"] else f"{target}:{default_port}"


def _message(response) -> str:
    """What an HTTP answer says went wrong."""
    try:
        return response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return response.reason or "no message"


def _reason(error: Exception) -> str:
    """The innermost cause of a failed connection, such as "Connection refused"."""
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return found[1] if found else type(error).__name__
