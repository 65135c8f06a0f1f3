"""What the client sends of files, and what it says of servers of all kinds."""

import contextlib
import datetime
import http.server
import io
import json
import socket
import ssl
import sys
import threading

import pytest

from electra_tf.errors import UserError
from electra_tf.serving.client import answers, inputs, playground, show_replaced
from electra_tf.serving.client.protocols import new_client, new_rest_client

JSON = "application/json"
ANSWER = {"outputs": {"score": [1.5]}}
METADATA = {"metadata": {"signature_def": {"signature_def": {"serving_default": {}}}}}


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a\u2028b\nc\x0cd\x0be\n\x1cf\x85g".encode(), ["a\u2028b", "c\x0cd\x0be", "\x1cf\x85g"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\n\n", ["a\rb", ""]),
        (b"\xef\xbb\xbfa\n\xffb", ["a", "b"]),
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
    ],
)
def test_only_line_feeds_end_a_line(tmp_path, monkeypatch, content, lines):
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    assert inputs.lines_of(str(path)) == lines
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert inputs.lines_of("-") == lines
    texts = inputs.texts_of_file(str(path), ["text"])
    assert texts == {"text": [line for line in lines if line.strip()]}


def test_three_lines_of_a_file_are_three_texts(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("who\u2028?\tit\x0cwas\na\tb\nc\x85\td\n", encoding="utf-8", newline="")
    assert inputs.texts_of_file(str(path), ["question", "context"]) == {
        "question": ["who\u2028?", "a", "c\x85"],
        "context": ["it\x0cwas", "b", "d"],
    }
    for fields in ([], ["text", "text"]):
        with pytest.raises(UserError, match="must name each input of a line once"):
            inputs.texts_of_file(str(path), fields)


@pytest.mark.parametrize(
    ("content", "kind"), [("a\n".encode("utf-16"), "UTF-16"), (b"\x1f\x8b\x08\x00", "gzip")]
)
def test_files_of_another_encoding_are_refused(tmp_path, content, kind):
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"must be UTF-8. Received: {path}, which begins as {kind}"):
        inputs.lines_of(str(path))


def test_an_answer_of_another_model_is_shown_as_it_is():
    for answer in ({"tags": ["O"]}, {"labels": ["a"], "score": 1}, {"replaced_probability": [1.0]}):
        assert json.loads(answers.render({"text": "a"}, answer, 0.5, False)) == answer
    assert show_replaced.pairs_of(["a\u2028 => b"]) == [("a\u2028", "b")]


def test_a_score_is_shown_with_those_of_its_tokens():
    answer = {
        "score": -3.25,
        "tokens": ["[CLS]", "a", "b", "[SEP]", "[PAD]"],
        "token_scores": [0.0, -1.0, -2.25, 0.0, 0.0],
        "end_offset": [0, 1, 3, 0, 0],
    }
    shown = answers.render({"text": "a b"}, answer, 0.5, False)
    assert shown == "-3.2500  (a -1.000, b -2.250)"


@contextlib.contextmanager
def listening(answer, tls=None):
    """HOST:PORT of a server that answers all requests alike.

    Args:
        answer: status, content type, body, and headers.
        tls: files of a certificate and its key.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, kind, body, *headers = answer
            self.send_response(status)
            for name, value in [("Content-Type", kind), ("Content-Length", len(body)), *headers]:
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files of a certificate for localhost, which nobody has signed, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "certificate.pem"), str(folder / "key.pem")


def predicted(target, **settings):
    client = new_client("rest", target, "electra", timeout=settings.pop("timeout", 10), **settings)
    return client.predict({"text": ["a"]}, "serving_default")


def told(target, **settings) -> str:
    """What is said where there is no answer; one line."""
    with pytest.raises((OSError, UserError)) as error:
        predicted(target, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, JSON, b'{"hello": 1}'), "is no model server (its answer has no outputs)"),
        ((200, JSON, b'{"outputs": ["x"]}'), "is no model server (its metadata"),
        ((200, JSON, b"[]"), "is no model server (HTTP 200, application/json)"),
        ((200, JSON, b'"outputs"'), "is no model server (HTTP 200, application/json)"),
        ((200, JSON, b"[" * 100_000), "is no model server (HTTP 200, application/json)"),
        ((200, "text/html", b"<p>"), "is no model server (HTTP 200, text/html)"),
        ((404, JSON, b'{"detail": "Not Found"}'), "is no model server (HTTP 404"),
        ((404, JSON, b'{"error": "no such"}'), "must know the model. Received: electra"),
        ((500, JSON, b'{"error": {"code": 5}}'), "is no model server (HTTP 500"),
        ((401, JSON, b'{"error": "who?"}'), "refuses the request (HTTP 401): who?"),
        (
            (301, "text/html", b"", ("Location", "https://a.example/")),
            "is no model server (HTTP 301 to https://a.example/, text/html)",
        ),
        ((200, JSON, b'{"outputs": {"a": [1, 2]}}'), "Received: a of 2 rows for 1 texts"),
        ((200, JSON, b'{"outputs": {"a": 5}}'), "Received: a of no rows for 1 texts"),
    ],
)
def test_other_services_are_told(answer, message):
    with listening(answer) as target:
        said = told(target)
        assert message in said and target in said or "rows" in message


@pytest.mark.parametrize(
    "content", [[], {"a": 1}, {"metadata": 5}, {"metadata": {"signature_def": [1]}}, METADATA]
)
def test_a_playground_before_another_service_is_told(content):
    with listening((200, JSON, json.dumps(content).encode())) as target:
        with pytest.raises((ConnectionError, UserError)) as error:
            playground.new_app(playground.RemoteModel(new_rest_client(target, "electra")))
        expected = "takes text" if content is METADATA else f"{target} is no model server"
        assert expected in str(error.value)


def test_tls(certificate):
    body = json.dumps(ANSWER).encode()
    with listening((200, JSON, body), certificate) as target:
        assert predicted(f"https://{target}", ca_file=certificate[0]) == ANSWER["outputs"]
        assert "is not trusted ([SSL: CERTIFICATE_VERIFY_FAILED]" in told(f"https://{target}")
        assert "asked as https://HOST:PORT" in told(target)
    with listening((200, JSON, body)) as target:
        assert predicted(f"http://{target}/") == ANSWER["outputs"]
        assert f"{target} does not speak TLS" in told(f"https://{target}")
        assert "with a target that begins with https://" in told(target, ca_file=certificate[0])
    assert "must be a file" in told("https://localhost:1", ca_file="missing.pem")
    assert "as PEM" in told("https://localhost:1", ca_file=certificate[1])


def test_failures_of_the_way_are_told_apart():
    assert "no server answers at localhost:1 over REST (Connection refused)" in told("localhost:1")
    assert "the host of nowhere.invalid:443 is not known" in told("https://nowhere.invalid")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"localhost:{silent.getsockname()[1]}"
        assert f"{target} did not answer within 0.2 s" in told(target, timeout=0.2)


def test_this_machine_is_asked_without_a_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://user:secret@localhost:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with listening((200, JSON, json.dumps(ANSWER).encode())) as target:
        assert predicted(target) == ANSWER["outputs"]
        assert predicted(target.replace("localhost", "127.0.0.1")) == ANSWER["outputs"]
    said = told("models.example:8501")
    assert "through the proxy localhost:1 of the environment: no_proxy=models.example" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "target",
    ["", "a b", "ftp://a", "http://a/b", "a:0", "a:70000", "a:x", "user@a", "a/", "[::1", "a?b"],
)
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_what_is_no_target(protocol, target):
    with pytest.raises(UserError, match=r"A target must be HOST:PORT, such as localhost:850\d"):
        new_client(protocol, target, "electra")


def test_ports_by_default():
    for target, address in (
        ("a", "a:8501"),
        ("http://a", "a:8501"),
        ("https://a", "a:443"),
        ("[::1]:5", "[::1]:5"),
        ("https://[::1]", "[::1]:443"),
    ):
        assert new_client("rest", target, "electra").target == address


def test_tls_by_grpc(certificate):
    """With a server that knows no model, so what it says is that."""
    import concurrent.futures

    import grpc

    with open(certificate[0], "rb") as chain, open(certificate[1], "rb") as key:
        credentials = grpc.ssl_server_credentials([(key.read(), chain.read())])
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    secure, plain = (
        server.add_secure_port("localhost:0", credentials),
        server.add_insecure_port("localhost:0"),
    )
    server.start()

    def said(target, **settings):
        client = new_client("grpc", target, "electra", timeout=10, **settings)
        with pytest.raises(ConnectionError) as error:
            client.predict({"text": ["a"]}, "serving_default")
        assert "\n" not in str(error.value)
        return str(error.value)

    trusting = said(f"https://localhost:{secure}", ca_file=certificate[0])
    assert f"what answers at localhost:{secure} is no model server" in trusting
    assert f"localhost:{plain} is no model server" in said(f"localhost:{plain}")
    assert "is not trusted" in said(f"https://localhost:{secure}")
    assert "does not speak TLS" in said(f"https://localhost:{plain}")
    assert "no server answers" in said(f"localhost:{secure}")
    assert "is not known" in said("nowhere.invalid:8500")
    server.stop(None)
