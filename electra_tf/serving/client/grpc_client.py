"""Asks a model server over gRPC."""

from electra_tf import extras
from electra_tf.errors import UserError, one_line
from electra_tf.serving.client import targets
from electra_tf.serving.client.answers import plain
from electra_tf.serving.client.model_client import Client


class GrpcClient(Client):
    """Over gRPC. Arguments as of `Client`."""

    protocol = "gRPC"

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        import tensorflow as tf

        with extras.needed("serving"):
            import grpc
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
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        options += [("grpc.enable_http_proxy", int(not self.server.is_this_machine))]
        if self.server.tls:
            channel = grpc.secure_channel(self.target, self._credentials(), options)
        else:
            channel = grpc.insecure_channel(self.target, options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)

    def _credentials(self):
        certificates = None
        if self._ca_file:
            with open(self._ca_file, "rb") as file:
                certificates = file.read()
        return self._grpc.ssl_channel_credentials(certificates)

    def _proxy(self) -> str | None:
        return targets.proxy_of_grpc(self.server)

    def _outputs(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
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
        return {
            status.version: self._state_name(status.state)
            for status in response.model_version_status
        }

    def _error(self, error) -> Exception:
        codes = self._grpc.StatusCode
        if error.code() == codes.DEADLINE_EXCEEDED:
            return self._late()
        details = one_line(error.details() or "no details")
        if error.code() == codes.UNIMPLEMENTED:
            return self._foreign(details)
        if error.code() in (codes.UNAVAILABLE, codes.UNKNOWN):
            return self._silent(details)
        return UserError(f"{self.target} refuses the request ({error.code().name}): {details}")
