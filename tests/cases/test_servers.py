"""Requests of all kinds to the playground, and what its bundle must be."""

import base64
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import threading

import hostile_requests
import numpy as np
import pytest
import requests
import tensorflow as tf

from electra_tf.errors import UserError
from electra_tf.serving.checking.contents import read_bundle
from electra_tf.serving.checking.session import ServingSession
from electra_tf.serving.client import playground, rest_requests
from electra_tf.serving.client.local_bundle import LocalBundle
from electra_tf.serving.graph.input_checks import fitting

IDS = ("input_ids", "input_mask", "segment_ids")
TEXT = tf.TensorSpec([None], tf.string, "text")
TEXTS = [TEXT, tf.TensorSpec([None], tf.string, "text_pair")]


class Lengths(tf.Module):
    """Measures texts: has the shapes of a model's signatures, and is loaded within a moment."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(0.25)

    @tf.function(input_signature=[TEXT], autograph=False)
    def score(self, text):
        length = tf.strings.length(text)
        return {"score": self.weight * tf.cast(length, tf.float32), "text": text}

    @tf.function(input_signature=TEXTS, autograph=False)
    def pair(self, text, text_pair):
        text, pair = fitting(rank=1, text=text, text_pair=text_pair)
        return {"same": tf.cast(text == pair, tf.int32)}

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int32, name) for name in IDS],
        autograph=False,
    )
    def ids(self, input_ids, input_mask, segment_ids):
        rows = (input_ids, input_mask, segment_ids)
        return {"logits": fitting(rank=2, **dict(zip(IDS, rows)))[0]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")], autograph=False)
    def classify(self, inputs):
        field = {"sentence": tf.io.FixedLenFeature([], tf.string)}
        length = tf.strings.length(tf.io.parse_example(inputs, field)["sentence"])
        classes = tf.broadcast_to(tf.constant(["a", "b"]), [tf.size(inputs), 2])
        scores = tf.stack([length, -length], axis=1)
        return {"classes": classes, "scores": tf.cast(scores, tf.float32)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("serving") / "7"
    module = Lengths()
    names = ("pair", "ids", "classify")
    signatures = {"serving_default": module.score} | {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(path), signatures=signatures)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
    updater.replace_method_name("classify", "tensorflow/serving/classify")
    updater.save()
    return path


@pytest.fixture(scope="module")
def url(bundle):
    model = playground.LocalModel(LocalBundle(str(bundle)), "electra")
    with playground.listening(model) as (server, url):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{url}v1/models/electra"
        server.shutdown()


def asked(url, content, verb=":predict", **headers):
    body = content if isinstance(content, (bytes, str)) else json.dumps(content)
    body = body if isinstance(body, bytes) else body.encode()
    response = requests.post(url + verb, data=body, headers=headers)
    return response.status_code, response.json()


def test_any_content_type_or_none_is_taken(url):
    answer = (200, {"predictions": [{"score": 0.5, "text": "ab"}]})
    for kind in (None, "", "text/plain", "application/x-www-form-urlencoded", "a/b; charset=x"):
        headers = {} if kind is None else {"Content-Type": kind}
        assert asked(url, '{"instances": ["ab"]}', **headers) == answer


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"instances": ["ab", ""]}, {"predictions": [(0.5, "ab"), (0.0, "")]}),
        ({"instances": [{"text": "ab"}]}, {"predictions": [(0.5, "ab")]}),
        ({"instances": [{"b64": "YWI="}]}, {"predictions": [(0.5, "ab")]}),
        ({"instances": [{"text": {"b64": "YWI"}}]}, {"predictions": [(0.5, "ab")]}),
        ({"instances": ["ab"], "signature_name": ""}, {"predictions": [(0.5, "ab")]}),
        ({"inputs": ["ab", ""]}, {"outputs": {"score": [0.5, 0.0], "text": ["ab", ""]}}),
        ({"inputs": {"text": ["ab"]}}, {"outputs": {"score": [0.5], "text": ["ab"]}}),
        ({"inputs": []}, {"outputs": {"score": [], "text": []}}),
        (
            {
                "signature_name": "pair",
                "instances": [{"text": "a", "text_pair": text} for text in "ab"],
            },
            {"predictions": [1, 0]},
        ),
        (
            {"signature_name": "ids", "inputs": dict.fromkeys(IDS, [[1, 2**31 - 1]])},
            {"outputs": [[1, 2**31 - 1]]},
        ),
        (b'\xef\xbb\xbf{"instances": ["ab"]}', {"predictions": [(0.5, "ab")]}),
        (b'{"instances": ["a\xffb"]}', {"predictions": [(0.75, "a\ufffdb")]}),
    ],
)
def test_answers_of_rows_and_columns(url, content, answer):
    if "predictions" in answer and isinstance(answer["predictions"][0], tuple):
        rows = [dict(zip(("score", "text"), row)) for row in answer["predictions"]]
        answer = {"predictions": rows}
    assert asked(url, content) == (200, answer)


def nested(depth: int) -> str:
    return '{"instances": ' + "[" * depth + '"a"' + "]" * depth + "}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nested(2), "text must have the shape (None,)"),
        (nested(31), "text must have the shape (None,)"),
        (nested(32), "JSON must be at most 32 lists or objects deep"),
        (nested(255), "JSON must be at most 32"),
        (nested(100_000), "JSON must be at most 32"),
        ('{"a":' * 100_000, "JSON must be at most 32"),
        ("[" * 400_000, "JSON must be at most 32"),
        ({"signature_name": ["x"], "instances": ["a"]}, "a string. Received: an array"),
        ({"signature_name": {}, "instances": ["a"]}, "a string. Received: an object"),
        ({"signature_name": None, "instances": ["a"]}, "a string. Received: null"),
        ({"signature_name": "x", "instances": ["a"]}, "A signature must be one of classify, ids"),
        ("", "must be JSON"),
        ("{", "must be JSON"),
        ('{"instances": ["a"]} {}', "must be JSON"),
        ('{"instances": ["a"]}'.encode("utf-16"), "must be JSON"),
        (b"\xff\xfe\x00", "must be JSON"),
        ("[]", "must be a JSON object. Received: an array"),
        ("null", "must be a JSON object. Received: null"),
        ({}, "either instances or inputs. Received: neither"),
        ({"instances": ["a"], "inputs": ["a"]}, "either instances or inputs. Received: both"),
        ({"instances": []}, "a list of one or more. Received: an array"),
        ({"instances": "a"}, "a list of one or more. Received: a string"),
        ({"instances": {"text": "a"}}, "a list of one or more. Received: an object"),
        ({"instances": [None]}, "text must be made of strings. Received: None"),
        ({"instances": ["a", 5]}, "text must be made of strings. Received: 5"),
        ({"instances": ["a", ["b"]]}, "text must have the shape (None,)"),
        (
            {"signature_name": "ids", "inputs": dict.fromkeys(IDS, [[1, 2], [3]])},
            "lists of one length, nested alike. Received: a list of 1 beside a list of 2",
        ),
        ({"instances": [{"text": "a"}, "b"]}, "same inputs"),
        ({"instances": [{"text": "a"}, {"text_pair": "b"}]}, "same inputs"),
        ({"inputs": "a"}, "text must have the shape (None,). Received: ()"),
        ({"inputs": {"txt": ["a"]}}, "must be text. Received: txt"),
        ({"inputs": [{"b64": "Y"}]}, "must be base64"),
        ({"inputs": [{"b64": "é"}]}, "must be base64"),
        ({"inputs": [{"b64": 5}]}, "text must be made of strings. Received: an object"),
        ('{"inputs": ["\\ud800"]}', "half of a pair"),
        ({"signature_name": "pair", "instances": ["a"]}, "must name them: text, text_pair"),
        ({"signature_name": "pair", "inputs": ["a"]}, "must name them: text, text_pair"),
        (
            {"signature_name": "pair", "inputs": {"text": ["a", "b"], "text_pair": ["a"]}},
            "text, text_pair must have rank 1 and the same shape. Received the shapes [2] [1]",
        ),
        ({"instances": ["a"] * 9000}, "at most 131072 bytes or numbers"),
        ({"instances": ["a" * 2000, *[""] * 99]}, "at most 131072 bytes or numbers"),
        ({"inputs": ["a" * 200_000]}, "at most 131072 bytes or numbers"),
    ],
)
def test_what_is_refused(url, content, message):
    status, answer = asked(url, content)
    assert status == 400 and answer.keys() == {"error"}
    assert message in answer["error"]


@pytest.mark.parametrize(
    "value",
    [2**32 + 479, 2**31, -(2**31) - 1, 10**400, 1.0, 1e400, float("nan"), True, None, "1", [], {}],
)
def test_ids_are_int32(url, value):
    columns = dict.fromkeys(IDS, [[1]]) | {"input_ids": [[value]]}
    status, answer = asked(url, {"signature_name": "ids", "inputs": columns})
    assert status == 400 and "input_ids must" in answer["error"]


def test_ids_and_mask_of_other_shapes_are_refused(url):
    columns = dict.fromkeys(IDS, [[1, 2], [3, 4]])
    for other in ([[1, 2]], [[1], [2]]):
        for name in IDS:
            content = {"signature_name": "ids", "inputs": columns | {name: other}}
            status, answer = asked(url, content)
            assert status == 400
            assert "segment_ids must have rank 2 and the same shape" in answer["error"]


def test_larger_bodies_are_413(url):
    content = json.dumps({"instances": ["a"]}).encode()
    room = rest_requests.LARGEST_BODY - len(content)
    assert asked(url, content + b" " * room)[0] == 200
    assert asked(url, content + b" " * (room + 1))[0] == 413
    chunks = iter([content, *[b" " * 2**16] * 17])
    assert requests.post(url + ":predict", data=chunks).status_code == 413  # chunked


def test_chunks_that_end_early_are_refused(url):
    """Werkzeug takes what is missing for read: other memory for the body, or the process's end."""
    address = ("localhost", int(url.split(":")[2].split("/")[0]))
    head = b"POST /v1/models/electra:predict HTTP/1.1\r\nHost: localhost\r\n"
    for size in (b"30", b"1000", b"ffff", b"10000", b"fffffff", b"f" * 30):
        content = head + b"Transfer-Encoding: chunked\r\n\r\n" + size + b'\r\n{"instances": ["a"]}'
        status, _, body = hostile_requests.exchange(address, content)
        assert status == 400 and "could not understand" in json.loads(body)["error"]


def test_chunked_bodies_are_read(url):
    response = requests.post(url + ":predict", data=iter([b'{"instances"', b': ["ab"]}']))
    assert response.json() == {"predictions": [{"score": 0.5, "text": "ab"}]}


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/versions/7:predict", 200, None),
        ("POST", "/versions/007:predict", 200, None),
        ("POST", ":Predict", 200, None),
        ("POST", "/versions/8:predict", 404, "not found for request: Specific(electra, 8)"),
        ("POST", "/versions/99999999999999999999:predict", 400, "Failed to convert version"),
        ("POST", "/versions/x:predict", 400, "Malformed request: POST /v1/models/electra/versions"),
        ("POST", "/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("POST", "", 400, "Malformed request"),
        ("POST", ":explain", 400, "Malformed request"),
        ("POST", ":classify", 400, "Received: serving_default, of tensorflow/serving/predict"),
        ("POST", "s:predict", 404, "not found for request: Latest(electras)"),
        ("GET", ":predict", 400, "Malformed request: GET /v1/models/electra:predict"),
        ("PUT", ":predict", 400, "Malformed request: PUT"),
        ("DELETE", "", 400, "Malformed request: DELETE"),
        ("GET", "s", 404, "Latest(electras)"),
        ("GET", "/versions/8", 404, "Specific(electra, 8)"),
    ],
)
def test_paths_and_methods(url, method, path, status, message):
    body = '{"instances": ["ab"]}' if method == "POST" else None
    prepared = requests.Request(method, url, data=body).prepare()
    prepared.url = url + path  # as it is
    response = requests.Session().send(prepared)
    assert response.status_code == status
    if message is not None:
        assert message in response.json()["error"]


def test_states_and_metadata(url):
    (state,) = requests.get(url).json()["model_version_status"]
    assert (state["version"], state["state"]) == ("7", "AVAILABLE")
    metadata = requests.get(f"{url}/metadata").json()
    assert metadata["model_spec"] == {"name": "electra", "signature_name": "", "version": "7"}
    definitions = metadata["metadata"]["signature_def"]["signature_def"]
    assert definitions["ids"]["inputs"]["input_ids"]["dtype"] == "DT_INT32"
    assert requests.get(url.rpartition("/")[0]).json() == {
        "error": "Missing model name in request."
    }


def test_classify(url):
    examples = [{"sentence": "ab"}, {"sentence": ["a"]}, {"sentence": {"b64": "YWJj"}}]
    content = {"signature_name": "classify", "examples": examples}
    rows = [[["a", length], ["b", -length]] for length in (2.0, 1.0, 3.0)]
    assert asked(url, content, ":classify") == (200, {"results": rows})
    shared = {"signature_name": "classify", "context": {"sentence": "abcd"}, "examples": [{}]}
    assert asked(url, shared, ":classify") == (200, {"results": [[["a", 4.0], ["b", -4.0]]]})
    for examples in ([], "a", [5], [{}], [{"sentence": None}], [{"sentence": ["a", 5]}]):
        content = {"signature_name": "classify", "examples": examples}
        assert asked(url, content, ":classify")[0] == 400
    assert asked(url, {"signature_name": "classify", "examples": [{}]}, ":regress")[0] == 400


def test_what_is_no_http_is_refused_in_json(url):
    address = ("localhost", int(url.split(":")[2].split("/")[0]))
    for content in (
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST http://[::1/v1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ):
        status, _, body = hostile_requests.exchange(address, content)
        assert status == 400 and json.loads(body)["error"]


def test_many_at_once_have_their_own_answers(url):
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda size: asked(url, {"inputs": ["a" * size]}), range(64)))
    assert answers == [(200, {"outputs": {"score": [s / 4], "text": ["a" * s]}}) for s in range(64)]


def test_lists_for_a_bundle_in_python(bundle):
    loaded = LocalBundle(str(bundle))
    assert loaded.predict({"text": ["ab", b"\xff"]})["score"] == [0.5, 0.25]
    ids = np.array([[1, 2]], np.int32)
    assert loaded.predict(dict.fromkeys(IDS, ids), "ids") == {"logits": [[1, 2]]}
    deep = ["a"]
    for _ in range(254):
        deep = [deep]
    with pytest.raises(UserError, match="text must have the shape"):
        loaded.predict({"text": deep})
    with pytest.raises(UserError, match="A signature must be one of"):
        loaded.predict({"text": ["a"]}, ["x"])


def cut(name, share):
    """Leaves a share of a file of a bundle; none: removes it."""

    def spoil(path):
        if share is None:
            os.remove(path / name)
        else:
            content = (path / name).read_bytes()
            (path / name).write_bytes(content[: int(len(content) * share)])

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        cut("variables/variables.data-00000-of-00001", 0),
        cut("variables/variables.data-00000-of-00001", 0.5),
        cut("variables/variables.data-00000-of-00001", None),
        cut("variables/variables.index", 0),
        cut("variables/variables.index", 0.5),
        cut("variables/variables.index", None),
        lambda path: shutil.rmtree(path / "variables"),
        cut("saved_model.pb", 0),
        cut("saved_model.pb", 0.9),
        cut("saved_model.pb", None),
    ],
)
def test_a_bundle_that_is_not_whole_is_one_line(bundle, tmp_path, spoil):
    shutil.copytree(bundle, tmp_path / "1")
    spoil(tmp_path / "1")
    with pytest.raises(UserError, match=str(tmp_path)) as error:
        LocalBundle(str(tmp_path / "1"))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError) as error:  # as `electra_tf check` does it
        ServingSession(read_bundle(str(tmp_path / "1")))
    assert not re.search("\n|Graph execution error", str(error.value))


@pytest.mark.slow  # a model's bundle and a playground as a process
def test_no_request_of_a_thousand_ends_the_playground(tmp_path):
    bundle = hostile_requests.write_bundle(tmp_path)
    with hostile_requests.playground(bundle) as url:
        counts = hostile_requests.attack(url, 1000, seed=1)
    assert set(counts["valid"]) == {200} and counts["extreme"].keys() <= {200, 400, 413}
    assert sum(counts["mutated"].values()) > 200


def test_base64_is_what_the_text_would_be(url):
    for text in ("日本", "", "a\x00b"):
        encoded = base64.b64encode(text.encode()).decode()
        assert asked(url, {"inputs": [{"b64": encoded}]}) == asked(url, {"inputs": [text]})
