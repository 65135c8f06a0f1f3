"""A web page on which to try a model, before the same REST calls as a model server's.

The page asks `/v1/models/NAME:predict` of where it came from. Behind that is a bundle in this
process, or a model server that the calls are passed on to.
"""

import contextlib
import errno
import ipaddress
import json
import os
import re
import socket
import threading
import urllib.parse
from typing import IO, Protocol, cast

import numpy as np

from electra_tf import extras
from electra_tf.config import checks
from electra_tf.errors import UserError, one_line
from electra_tf.serving.client import rest_examples, rest_requests
from electra_tf.serving.client.local_bundle import DEFAULT_SIGNATURE, LocalBundle
from electra_tf.serving.client.rest_client import RestClient
from electra_tf.serving.client.rest_requests import Asked

with extras.needed("serving"):
    import flask
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
    from werkzeug.serving import (
        BaseWSGIServer,
        DechunkedInput,
        WSGIRequestHandler,
        make_server,
    )

# Only the page's own files run and are asked; nothing of what users type can.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_PATIENCE = 60  # seconds that a connection may be silent


class Model(Protocol):
    """What answers behind the page: JSON as TensorFlow Serving's REST API has it."""

    name: str
    source: str  # said on the page

    def answer(self, asked: Asked, body: bytes = b"") -> tuple[dict, int]:
        """The answer to a request about the model and its HTTP status.

        Raises:
            UserError: the request is wrong: status 400.
        """
        ...


class LocalModel:
    """A bundle in this process, as `Model`.

    Args:
        bundle: to answer, one call at a time.
        name: in the URLs.
    """

    def __init__(self, bundle: LocalBundle, name: str):
        self.name, self.source, self._bundle = name, bundle.path, bundle
        folder = os.path.basename(os.path.abspath(bundle.path))
        self._version = folder if re.fullmatch("[1-9][0-9]{0,18}", folder) else "1"
        self._calls = threading.Lock()  # so that memory is that of one

    def answer(self, asked: Asked, body: bytes = b"") -> tuple[dict, int]:
        if asked.label is not None and asked.verb:
            raise UserError(f"Unrecognized servable version label: {asked.label}")
        if asked.version not in (None, int(self._version)):
            wanted = f"Specific({self.name}, {asked.version})"
            return {"error": f"Servable not found for request: {wanted}"}, 404
        if not asked.verb:
            status = {"error_code": "OK", "error_message": ""}
            state = {"version": self._version, "state": "AVAILABLE", "status": status}
            return {"model_version_status": [state]}, 200
        if asked.verb == "metadata":
            definitions = {"signature_def": self._bundle.signature_definitions()}
            spec = {"name": self.name, "signature_name": "", "version": self._version}
            return {"model_spec": spec, "metadata": {"signature_def": definitions}}, 200
        document = rest_requests.parse_body(body)
        signature = rest_requests.signature_of(document) or DEFAULT_SIGNATURE
        if asked.verb == "predict":
            columns, by_row = rest_requests.columns_of(document, self._bundle.inputs(signature))
            return rest_requests.answer_of(self._outputs(columns, signature), by_row), 200
        if self._bundle.method(signature) != rest_examples.METHODS[asked.verb]:
            raise UserError(
                f"The signature must be one to {asked.verb}. Received: {signature}, of "
                f"{self._bundle.method(signature)}"
            )
        outputs = self._outputs(rest_examples.inputs_of(document), signature)
        return rest_examples.answer_of(outputs, asked.verb), 200

    def _outputs(self, columns: dict, signature: str) -> dict[str, np.ndarray]:
        arrays = self._bundle.arrays(columns, signature)
        rest_requests.require_small(arrays)
        with self._calls:
            return self._bundle.run(arrays, signature)


class RemoteModel:
    """A model of a server, as `Model`: requests are passed on, and answers back.

    Args:
        client: of the server and its model.
    """

    def __init__(self, client: RestClient):
        self.name, self.source, self._client = client.model, f"at {client.target}", client

    def answer(self, asked: Asked, body: bytes = b"") -> tuple[dict, int]:
        try:
            return self._client.pass_on(asked, body)
        except TimeoutError as error:
            return {"error": str(error)}, 504
        except OSError as error:  # no server, or one of something else
            return {"error": str(error)}, 502


class _WholeReads:
    """A stream that fails where it ends within a read.

    Werkzeug's `DechunkedInput` counts what is missing of a chunk as read, and Python then takes the
    memory behind its buffer for the body, or ends with a segmentation fault.
    """

    def __init__(self, stream):
        self._stream, self.readline = stream, stream.readline

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise OSError("the body ends within a chunk")
        return data


class _Handler(WSGIRequestHandler):
    """HTTP of any kind in, JSON out; a connection that is silent would keep a thread."""

    timeout = _PATIENCE

    def run_wsgi(self):
        try:
            urllib.parse.urlsplit(self.path)
        except ValueError:
            self.send_error(400, "Malformed URL")
        else:
            super().run_wsgi()

    def make_environ(self):
        environ = super().make_environ()
        if environ.get("wsgi.input_terminated"):
            whole = cast(IO[bytes], _WholeReads(self.rfile))  # all of it that is asked for
            environ["wsgi.input"] = DechunkedInput(whole)
        return environ

    def send_error(self, code, message=None, explain=None):
        """Refuses what is no request; that is never a fault of the server."""
        content = json.dumps({"error": message or "Malformed request"}).encode()
        self.request_version = "HTTP/1.1"  # of older ones the answer has no head
        self.send_response(code if code < 500 else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log(self, type, message, *arguments):
        """Nothing: else there is a line for every request."""

    def log_request(self, code="-", size="-"):
        """Nothing."""


def new_app(model: Model, names: list[str] | None = None) -> flask.Flask:
    """The page and the calls that it makes.

    Args:
        model: answers.
        names: hosts that requests may ask for; None: any. A server of this machine only should
            say them, so that no page of the web, whose name leads here, can ask.

    Raises:
        UserError: the page cannot show what the model answers.
        ConnectionError: the model does not answer.
    """
    _check(model)
    app = flask.Flask(
        __name__,
        static_folder="playground_page",
        static_url_path="/page",
        template_folder="playground_page",
    )
    # One more, as Flask cuts a chunked body at its limit and says nothing.
    app.config.update(MAX_CONTENT_LENGTH=rest_requests.LARGEST_BODY + 1, TRUSTED_HOSTS=names)

    @app.get("/")
    def page():
        return flask.render_template("index.html", model=model.name, source=model.source)

    @app.route("/v1/<path:rest>", methods=_METHODS, provide_automatic_options=False)
    def ask(rest):
        request = flask.request
        path = urllib.parse.urlsplit(request.environ["RAW_URI"]).path
        asked = rest_requests.parse_path(request.method, path)
        if asked.model != model.name:
            return {"error": f"Servable not found for request: Latest({asked.model})"}, 404
        body = request.get_data()
        if len(body) > rest_requests.LARGEST_BODY:
            raise RequestEntityTooLarge
        return model.answer(asked, body)

    @app.errorhandler(UserError)
    def explain(error):
        return {"error": one_line(error)}, 400

    @app.errorhandler(HTTPException)
    def refuse(error):
        return {"error": error.description}, error.code

    @app.after_request
    def protect(response):
        response.headers.update(_HEADERS)
        return response

    return app


@contextlib.contextmanager
def listening(model: Model, host: str = "localhost", port: int = 0):
    """A server of the page, for its `serve_forever`, and its URL; its port is free afterwards.

    Args:
        model: answers.
        host: name or address to listen at.
        port: 0 picks a free one.

    Raises:
        UserError: the port or the host is not free to listen at; errors of `new_app`.
    """
    checks.between("port", port, 0, 65535, closed=(True, True))
    address = _address(host, port)
    is_local = ipaddress.ip_address(address[0]).is_loopback
    app = new_app(model, [host, "localhost", "127.0.0.1", "[::1]"] if is_local else None)
    with _bound(*address) as bound:
        server: BaseWSGIServer = make_server(
            *address, app, threaded=True, request_handler=_Handler, fd=bound.fileno()
        )
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
        raise UserError(
            f"The host must be a name or an address. Received: {host} ({error.strerror})"
        ) from error
    address = min(found, key=lambda info: info[0] != socket.AF_INET)[4]
    return str(address[0]), int(address[1])


def _bound(address: str, port: int) -> socket.socket:
    """Binds here: Flask's own server would print several lines and exit."""
    try:
        return socket.create_server(
            (address, port), family=(socket.AF_INET6 if ":" in address else socket.AF_INET)
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"The port must be free. Received: {port}, where another program "
                f"listens; --port=0 picks a free one"
            ) from error
        raise UserError(
            f"The host must be an address of this machine and the port one that may "
            f"be listened at. Received: {address}:{port} ({error.strerror})"
        ) from error


def _check(model: Model) -> None:
    answer, status = model.answer(Asked("metadata", model.name))
    if status == 404:
        raise UserError(
            f"{model.source} must have the model. Received: {model.name} ({answer['error']})"
        )
    if status != 200:
        raise ConnectionError(answer["error"])
    try:
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        inputs = signatures.get(DEFAULT_SIGNATURE, {}).get("inputs", {})
        dtypes = {info["dtype"] for info in inputs.values()}
    except (AttributeError, KeyError, TypeError):
        raise ConnectionError(
            f"what answers {model.source} is no model server: its metadata tell no signatures"
        ) from None
    if dtypes != {"DT_STRING"}:
        raise UserError(
            "The playground shows models whose serving_default takes text. Received: "
            f"{', '.join(sorted(inputs)) or 'no inputs'}"
        )
