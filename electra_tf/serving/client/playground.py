"""A web page on which to try a model, before the same REST calls as a model server's.

The page asks `/v1/models/NAME:predict` of where it came from. Behind that is a bundle in this
process, or a model server that the calls are passed on to.
"""

import contextlib
import errno
import ipaddress
import logging
import socket
from typing import Protocol

import flask
import werkzeug
from werkzeug.serving import BaseWSGIServer, make_server

from electra_tf import checks
from electra_tf.serving.client.answers import rows_of
from electra_tf.serving.client.local_bundle import DEFAULT_SIGNATURE, LocalBundle
from electra_tf.serving.client.protocols import RestClient

# Only the page's own files run and are asked; nothing of what users type can.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store"}
_LARGEST_REQUEST = 2 ** 20  # bytes
# The outputs by which page.js knows how to draw an answer.
_SHOWN = ("replaced_probability", "labels", "tags", "answer", "score")


class Model(Protocol):
    """What answers behind the page: JSON as TensorFlow Serving's REST API has it."""

    name: str
    source: str  # said on the page

    def predict(self, body: dict) -> tuple[dict, int]:
        """The answer to `:predict` and its HTTP status."""

    def metadata(self) -> tuple[dict, int]:
        """The answer to `/metadata` and its HTTP status."""


class LocalModel:
    """A bundle in this process, as `Model`.

    Args:
        bundle: to answer.
        name: in the URLs.
    """

    def __init__(self, bundle: LocalBundle, name: str):
        self.name, self.source, self._bundle = name, bundle.path, bundle

    def predict(self, body: dict) -> tuple[dict, int]:
        try:
            inputs, by_row = _inputs(body, self._bundle)
            columns = self._bundle.predict(inputs, body.get("signature_name", DEFAULT_SIGNATURE))
        except ValueError as error:
            return {"error": str(error)}, 400
        if len(columns) == 1:  # which then goes without its name
            (values,) = columns.values()
        else:
            values = rows_of(columns) if by_row else columns
        return {"predictions" if by_row else "outputs": values}, 200

    def metadata(self) -> tuple[dict, int]:
        return {"model_spec": {"name": self.name, "signature_name": "", "version": "1"},
                "metadata": {"signature_def": {
                    "signature_def": self._bundle.signature_definitions()}}}, 200


class RemoteModel:
    """A model of a server, as `Model`: requests are passed on, and answers back.

    Args:
        client: of the server and its model.
    """

    def __init__(self, client: RestClient):
        self.name, self.source, self._client = client.model, f"at {client.target}", client

    def predict(self, body: dict) -> tuple[dict, int]:
        return self._passed_on("POST", ":predict", body)

    def metadata(self) -> tuple[dict, int]:
        return self._passed_on("GET", "/metadata")

    def _passed_on(self, method, verb, body=None):
        try:
            response = self._client.call(method, verb, body)
            return response.json(), response.status_code
        except TimeoutError as error:
            return {"error": str(error)}, 504
        except (OSError, ValueError) as error:  # no server, or one that speaks no JSON
            return {"error": str(error)}, 502


def new_app(model: Model, names: list[str] | None = None) -> flask.Flask:
    """The page and the calls that it makes.

    Args:
        model: answers.
        names: hosts that requests may ask for; None: any. A server of this machine only should
            say them, so that no page of the web, whose name leads here, can ask.

    Raises:
        ValueError: the page cannot show what the model answers.
        ConnectionError: the model does not answer.
    """
    _check(model)
    app = flask.Flask(__name__, static_folder="playground_page", static_url_path="/page",
                      template_folder="playground_page")
    app.config.update(MAX_CONTENT_LENGTH=_LARGEST_REQUEST,
                      TRUSTED_HOSTS=names)

    @app.get("/")
    def page():
        return flask.render_template("index.html", model=model.name, source=model.source)

    @app.post("/v1/models/<name>:predict")
    def predict(name):
        return _named(name) or model.predict(flask.request.get_json())

    @app.get("/v1/models/<name>/metadata")
    def metadata(name):
        return _named(name) or model.metadata()

    @app.errorhandler(werkzeug.exceptions.HTTPException)
    def refuse(error):
        return {"error": error.description}, error.code

    @app.after_request
    def protect(response):
        response.headers.update(_HEADERS)
        return response

    def _named(name):
        if name != model.name:
            return {"error": f"Servable not found for request: Latest({name})"}, 404

    return app


@contextlib.contextmanager
def listening(model: Model, host: str = "localhost", port: int = 0):
    """A server of the page, for its `serve_forever`, and its URL; its port is free afterwards.

    Args:
        model: answers.
        host: name or address to listen at.
        port: 0 picks a free one.

    Raises:
        ValueError: the port or the host is not free to listen at; errors of `new_app`.
    """
    checks.between("port", port, 0, 65535, closed=(True, True))
    address = _address(host, port)
    is_local = ipaddress.ip_address(address[0]).is_loopback
    app = new_app(model, [host, "localhost", "127.0.0.1", "[::1]"] if is_local else None)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for every request
    with _bound(*address) as bound:
        server: BaseWSGIServer = make_server(*address, app, threaded=True, fd=bound.fileno())
        try:
            shown = f"[{host}]" if ":" in host else host
            yield server, f"http://{shown}:{bound.getsockname()[1]}/"
        finally:
            server.server_close()


def _address(host: str, port: int) -> tuple[str, int]:
    """The address of a host, that of IP version 4 if it has one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ValueError(f"The host must be a name or an address. Received: {host} "
                         f"({error.strerror})") from error
    return min(found, key=lambda info: info[0] != socket.AF_INET)[4][:2]


def _bound(address: str, port: int) -> socket.socket:
    """Binds here: Flask's own server would print several lines and exit."""
    try:
        return socket.create_server((address, port), family=(
            socket.AF_INET6 if ":" in address else socket.AF_INET))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"The port must be free. Received: {port}, where another program "
                             f"listens; --port=0 picks a free one") from error
        raise ValueError(f"The host must be an address of this machine and the port one that may "
                         f"be listened at. Received: {address}:{port} ({error.strerror})"
                         ) from error


def _check(model: Model) -> None:
    answer, status = model.metadata()
    if status == 404:
        raise ValueError(f"{model.source} must have the model. Received: {model.name} "
                         f"({answer['error']})")
    if status != 200:
        raise ConnectionError(answer["error"])
    signature = answer["metadata"]["signature_def"]["signature_def"].get(DEFAULT_SIGNATURE, {})
    inputs, outputs = signature.get("inputs", {}), signature.get("outputs", {})
    if (not inputs or not set(outputs) & set(_SHOWN)
            or any(info["dtype"] != "DT_STRING" for info in inputs.values())):
        raise ValueError(f"The playground shows models whose serving_default takes text and has "
                         f"one of the outputs {', '.join(_SHOWN)}. Received: "
                         f"{', '.join(sorted(inputs)) or 'no inputs'} to "
                         f"{', '.join(sorted(outputs)) or 'no outputs'}")


def _inputs(body: dict, bundle: LocalBundle) -> tuple[dict[str, list], bool]:
    """Columns of a request of rows, "instances", or of columns, "inputs"; whether it is of rows."""
    if not isinstance(body, dict) or ("instances" in body) == ("inputs" in body):
        raise ValueError("A request must be an object with either instances or inputs. Received: "
                         "neither or both")
    by_row = "instances" in body
    values = body["instances" if by_row else "inputs"]
    if by_row and isinstance(values, list) and values and isinstance(values[0], dict):
        if any(not isinstance(row, dict) or row.keys() != values[0].keys() for row in values):
            raise ValueError("All instances must have the same inputs. Received: others")
        values = {name: [row[name] for row in values] for name in values[0]}
    if isinstance(values, dict):
        return values, by_row
    return {name: values for name in bundle.inputs(body.get("signature_name",
                                                            DEFAULT_SIGNATURE))}, by_row
