"""Asks a model server: gRPC or REST in, lists out, and errors that say what to do."""

from electra_tf.config import checks
from electra_tf.serving.client import targets
from electra_tf.serving.client.grpc_client import GrpcClient
from electra_tf.serving.client.model_client import Client
from electra_tf.serving.client.rest_client import RestClient


def new_client(
    protocol: str,
    target: str,
    model: str,
    version: int | None = None,
    timeout: float = 10.0,
    ca_file: str | None = None,
) -> Client:
    """A client of `protocol`, grpc or rest, for a target of `targets.parse`; else as `Client`."""
    checks.one_of("protocol", protocol, tuple(targets.DEFAULT_PORTS))
    if protocol == "rest":
        return new_rest_client(target, model, version, timeout, ca_file)
    return GrpcClient(_server("grpc", target, timeout, ca_file), model, version, timeout, ca_file)


def new_rest_client(
    target: str,
    model: str,
    version: int | None = None,
    timeout: float = 10.0,
    ca_file: str | None = None,
) -> RestClient:
    """As `new_client`, of the REST API alone."""
    return RestClient(_server("rest", target, timeout, ca_file), model, version, timeout, ca_file)


def _server(protocol: str, target: str, timeout: float, ca_file: str | None) -> targets.Target:
    """The target; raises UserError if one of these is wrong."""
    checks.between("timeout", timeout, 0, 86400)
    server = targets.parse(target, protocol)
    if ca_file:
        targets.require_certificates(ca_file, server)
    return server
