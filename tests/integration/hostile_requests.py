"""Random requests of all kinds to a playground: none may end it, and none may be its fault.

    python hostile_requests.py --requests=100000 --seed=1 [--concurrency=8] [--url=URL]

Without a URL it starts a playground of its own, with a model of random weights. Request NUMBER of
a seed is always the same. It prints how many requests of each kind had which status, and fails
when one has none, a status from 500 on, an answer that is no JSON or of another length than the
request, or when what valid requests are answered before and after is not the same.
"""

import argparse
import base64
import collections
import concurrent.futures
import contextlib
import json
import pathlib
import random
import re
import socket
import sys
import tempfile
import urllib.parse
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

TIME_LIMIT = 300  # seconds for one answer; a model computes one call at a time
MODEL = "electra"
PREDICT = f"/v1/models/{MODEL}:predict"
CONTROLS = [
    {"instances": [{"text": "The models trained words."}]},
    {"instances": ["the model", "", "a\u2028b \x0c c"]},
    {"inputs": {"text": ["Über naïve 日本"]}, "signature_name": "encode"},
    {"inputs": {"text": {"b64": "YQ=="}}},  # no list: refused
    {
        "signature_name": "detect_replaced_ids",
        "inputs": {"input_ids": [[2, 9, 3]], "input_mask": [[1, 1, 1]], "segment_ids": [[0, 0, 0]]},
    },
]
SIGNATURES = ["", "serving_default", "detect_replaced", "encode", "fill_mask"]
IDS = ("input_ids", "input_mask", "segment_ids")
WORDS = [
    "the",
    "models",
    "[MASK]",
    "日本",
    "naïve",
    "\x00",
    "\u2028",
    "'",
    "😀",
    "a" * 300,
    "",
    ".",
]
NUMBERS = [0, 1, -1, 5, 61, 2**31, -(2**31) - 1, 2**32 + 479, 2**63, 10**400, 0.5, 1e39, -0.0]
KEYS = ["instances", "inputs", "signature_name", "text", "b64", "examples", "context", *IDS]
PIECES = [b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"NaN", b"-Infinity", b"1e999", b"null"]
PIECES += [b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\udc80", b"\x00", b"\n", b"9" * 400, b"\\u0000"]


PATHS = [f"/v1/models/{MODEL}{end}" for end in ("", "/metadata", "/versions/1:predict", "/x")]


class Request(NamedTuple):
    """Bytes to send.

    Attributes:
        kind: of the grammar.
        content: all of it, head and body.
        rows: of an answer of status 200; None: not known.
    """

    kind: str
    content: bytes
    rows: int | None = None


class Grammar:
    """Makes requests; each is a function of the seed and its number."""

    def __init__(self, seed: int):
        self._seed = seed
        self._kinds = {
            self._valid: 20,
            self._mutated: 25,
            self._json: 25,
            self._extreme: 6,
            self._bytes: 8,
            self._path: 8,
            self._http: 8,
        }

    def request(self, number: int) -> Request:
        self._random = random.Random(f"{self._seed}/{number}")
        (make,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        content, *rows = make()
        return Request(make.__name__[1:], content, *rows)

    def _valid(self):
        document, rows = self._document()
        return message(json.dumps(document).encode(), self._headers()), rows

    def _document(self):
        rows = self._random.randint(1, 4)
        if self._random.random() < 0.2:
            length = self._random.randint(1, 12)
            ids = [[self._random.randrange(61) for _ in range(length)] for _ in range(rows)]
            columns = dict(zip(IDS, (ids, [[1] * length] * rows, [[0] * length] * rows)))
            document = {"signature_name": "detect_replaced_ids"}
        else:
            columns = {"text": [self._text() for _ in range(rows)]}
            document = {"signature_name": self._random.choice(SIGNATURES)}
            if not document["signature_name"]:
                del document["signature_name"]
        if self._random.random() < 0.5:
            return document | {"inputs": columns}, None
        instances = [dict(zip(columns, row)) for row in zip(*columns.values())]
        return document | {"instances": instances}, rows

    def _text(self):
        text = " ".join(self._random.choices(WORDS, k=self._random.randint(0, 9)))
        if self._random.random() < 0.1:
            return {"b64": base64.b64encode(text.encode()).decode()}
        return text

    def _mutated(self):
        body = bytearray(json.dumps(self._document()[0]).encode())
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randrange(len(body) + 1)
            end = place + self._random.choice([0, 1, 1, 2, 8])
            piece = self._random.choice([*PIECES, bytes(body[place : place + 20]), b""])
            body[place:end] = piece
        return (message(bytes(body), self._headers()),)

    def _json(self):
        document = {key: self._value(3) for key in self._random.sample(KEYS, 2)}
        if self._random.random() < 0.7:
            document[self._random.choice(["instances", "inputs"])] = self._value(4)
        if self._random.random() < 0.3:
            document["signature_name"] = self._random.choice([*SIGNATURES, "detect_replaced_ids"])
        body = json.dumps(self._value(4) if self._random.random() < 0.1 else document)
        return (message(body.encode(), self._headers(), self._verb()),)

    def _value(self, depth: int):
        kind = self._random.random()
        if depth and kind < 0.3:
            return [self._value(depth - 1) for _ in range(self._random.randint(0, 4))]
        if depth and kind < 0.5:
            keys = self._random.sample(KEYS, self._random.randint(0, 3))
            return {key: self._value(depth - 1) for key in keys}
        if kind < 0.65:
            return self._random.choice(NUMBERS)
        return self._random.choice([None, True, False, *WORDS, *WORDS, float("nan")])

    def _extreme(self):
        deep = self._random.choice([31, 33, 64, 254, 255, 256, 1000, 100_000])
        number = self._random.choice([100, 3000, 30_000])
        body = self._random.choice(
            [
                b'{"instances": ' + b"[" * deep + b'"a"' + b"]" * deep + b"}",
                b'{"inputs": {"text": ' + b"[" * deep + b"]" * deep + b"}}",
                b'{"a":' * deep + b"1" + b"}" * deep,
                b"[" * deep,
                b'{"instances": [' + b'"a",' * number + b'"a"]}',
                b'{"instances": ["' + b". " * number + b'"]}',
                b'{"instances": ["' + b"x" * 10 * number + b'", ' + b'"",' * number + b'""]}',
                b'{"signature_name": "encode", "instances": ["' + b"a " * number + b'", "b"]}',
                b'{"signature_name": "fill_mask", "instances": ["' + b"[MASK]" * number + b'"]}',
                b'{"instances": [' + b"9" * number + b"]}",
                b'{"instances": ["' + b'\\"' * number,
                b" " * 40 * number + b'{"instances": ["a"]}',
            ]
        )
        return (message(body, self._headers()),)

    def _bytes(self):
        return (message(self._random.randbytes(self._random.randint(0, 300)), self._headers()),)

    def _path(self):
        method = self._random.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "FOO"])
        parts = [
            "v1",
            "models",
            MODEL,
            "versions",
            "labels",
            "1",
            "9" * 30,
            "metadata",
            "%ff",
            "..",
        ]
        path = "".join(f"/{part}" for part in self._random.choices(parts, k=4))
        path = self._random.choice(
            [*PATHS, path, path + self._random.choice([":predict", ":x", "?a=b", "#", "%00", "/"])]
        )
        return (message(b'{"instances": ["a"]}', self._headers(), path, method),)

    def _http(self):
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n".encode()
        body = b'{"instances": ["a"]}'
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
        whole = b"%x\r\n%s\r\n" % (len(body), body)
        return (
            self._random.choice(
                [
                    chunked + whole + b"0\r\n\r\n",
                    chunked + whole,
                    chunked + b"zz\r\n" + body,
                    chunked + b"-5\r\n" + body,
                    chunked + b"f" * self._random.randint(2, 30) + b"\r\n" + body,
                    head + b"Content-Length: -1\r\n\r\n" + body,
                    head + b"Content-Length: 9999999999\r\n\r\n" + body,
                    head + b"Content-Length: x\r\n\r\n" + body,
                    head + b"Content-Length: 50\r\n\r\n" + body,
                    head + b"X: y\r\n" * 200 + b"\r\n" + body,
                    head + b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n" + body,
                    head[: self._random.randrange(1, len(head))] + b"\r\n\r\n",
                    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
                    b"POST http://[::1/v1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    b"GET / HTTP/9.9\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
                    b"\x16\x03\x01" + self._random.randbytes(50) + b"\r\n\r\n",
                ]
            ),
        )

    def _headers(self) -> dict:
        kind = self._random.choice(
            [None, "application/json", "text/plain", "application/x-www-form-urlencoded", "é", ""]
        )
        return {} if kind is None else {"Content-Type": kind}

    def _verb(self) -> str:
        verb = self._random.choice(["predict"] * 8 + ["classify", "regress"])
        return f"/v1/models/{MODEL}:{verb}"


def message(body: bytes, headers: dict, path: str = PREDICT, method: str = "POST") -> bytes:
    """A whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def exchange(address: tuple[str, int], content: bytes) -> tuple[int, bytes, bytes]:
    """Sends bytes and closes that side: status, head and body of what comes back."""
    with socket.create_connection(address, TIME_LIMIT) as connection:
        connection.settimeout(TIME_LIMIT)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read all
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(2**16), b""))
    answer = answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"", 2)
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    return int(found[1]) if found else 0, head, body


def problem(request: Request, status: int, head: bytes, body: bytes) -> str | None:
    """What is wrong with an answer, in words."""
    if not 200 <= status < 500:
        return f"status {status}"
    if request.content.startswith(b"HEAD") or b"application/json" not in head:
        return None if status < 500 and (status == 200 or not body) else "an error without JSON"
    content = json.loads(body)
    if status != 200:
        return None if isinstance(content.get("error"), str) else "an error without a message"
    if request.rows is not None and len(content["predictions"]) != request.rows:
        return f"{len(content['predictions'])} answers to {request.rows} instances"
    return None


def controls(address) -> list[tuple[int, dict]]:
    """Status and answer of each of CONTROLS."""
    found = [exchange(address, message(json.dumps(one).encode(), {})) for one in CONTROLS]
    return [(status, json.loads(body)) for status, _, body in found]


def attack(url: str, number: int, seed: int, concurrency: int = 8) -> dict[str, dict[int, int]]:
    """Sends requests to a playground; how many of each kind had which status.

    Raises:
        AssertionError: one was answered as none may be; says its number.
    """
    parts = urllib.parse.urlsplit(url)
    address, counts = (parts.hostname, parts.port), collections.defaultdict(collections.Counter)
    before = controls(address)
    assert [status for status, _ in before] == [200, 200, 200, 400, 200], before

    def send(index: int):
        request = Grammar(seed).request(index)
        try:
            status, head, body = exchange(address, request.content)
            wrong = problem(request, status, head, body)
        except (OSError, ValueError) as error:
            status, wrong = 0, repr(error)
        assert wrong is None, f"seed {seed}, request {index}: {wrong}: {request.content[:300]}"
        if index % 1000 == 0:
            assert controls(address) == before, f"seed {seed}, request {index}: other answers"
        return request.kind, status

    with concurrent.futures.ThreadPoolExecutor(concurrency) as threads:
        for start in range(0, number, 1000):  # so that a failure ends it soon
            for kind, status in threads.map(send, range(start, min(start + 1000, number))):
                counts[kind][status] += 1
            if start % 10_000 == 9000:
                print(
                    f"{start + 1000}: {dict(sum(counts.values(), collections.Counter()))}",
                    flush=True,
                )
    assert controls(address) == before, "other answers afterwards"
    return {kind: dict(sorted(statuses.items())) for kind, statuses in sorted(counts.items())}


def write_bundle(folder: pathlib.Path) -> str:
    """A bundle with all signatures of a pre-trained model of random weights; its path."""
    from random_models import random_electra

    from electra_tf.saved import model_directory
    from electra_tf.serving.bundle import export_run
    from tests.conftest import SPECIAL_TOKENS, WORDS

    vocabulary = folder / "vocab.txt"
    letters = [chr(code) for code in range(33, 127)]
    tokens = dict.fromkeys([*SPECIAL_TOKENS, *letters, *("##" + one for one in letters), *WORDS])
    vocabulary.write_text("".join(token + "\n" for token in tokens), encoding="utf-8")
    model_directory.write(random_electra(vocabulary, "embeddings"), str(folder / "model"))
    return export_run(str(folder / "model"), str(folder / "serving"), include_generator=True)


@contextlib.contextmanager
def playground(bundle: str):
    """The URL of a playground, which must live at the end and have shown no traceback."""
    from servers import first_line

    command = [sys.executable, "-m", "electra_tf", "playground", "--port=0", f"--model={bundle}"]
    with first_line(command) as (line, process):
        try:
            yield re.search(r"http://\S+/", line)[0]
        finally:
            code = process.poll()
            process.kill()
            said = process.communicate()[1]
            assert code is None, f"the playground ended with {code}: {said[:2000]}"
            assert "Traceback" not in said, f"the playground said: {said[-2000:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--url", help="of a playground that runs")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = options.url
        if not url:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = stack.enter_context(playground(write_bundle(pathlib.Path(folder))))
        counts = attack(url, options.requests, options.seed, options.concurrency)
    total = collections.Counter()
    for kind, statuses in counts.items():
        total.update(statuses)
        print(f"{kind}: {', '.join(f'{number} x {status}' for status, number in statuses.items())}")
    print(f"seed {options.seed}, {options.requests} requests: {dict(sorted(total.items()))}")


if __name__ == "__main__":
    main()
