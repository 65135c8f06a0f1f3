"""Verification of bundles: good ones pass, each kind of damage is called by its name."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)
from tensorflow.core.protobuf import saved_model_pb2

from electra_tf.saved import model_directory
from electra_tf.serving import warmup
from electra_tf.serving.bundle import export_run
from electra_tf.serving.checking import model_answers, native
from electra_tf.serving.checking.check import check_bundle
from electra_tf.serving.checking.contents import read_bundle
from electra_tf.serving.checking.latency import LatencyPlan
from electra_tf.serving.checking.requests import Request
from electra_tf.serving.checking.session import ServingSession
from tests.integration.random_finetuned import write_finetuned
from tests.integration.test_export_finetuned import KINDS
from tests.integration.tiny_runs import ROOT, TIME_LIMIT
from tests.integration.tiny_tasks import write_model

TEXTS = [
    b"",
    b"the model",
    "Über naïve \U0001f600 models!".encode(),
    b"the\xff mo\xc3del \xe4\xb8",
    b"one two three. " * 30,
    b"\x00\x07 \t",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file)


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    return export_run(model, str(tmp_path_factory.mktemp("serving")))


class Lengths(tf.Module):
    """Scores texts by their length: loaded and called within a moment."""

    def __init__(self, vocab_file):
        super().__init__()
        self.weight = tf.Variable(0.25)
        self.vocabulary = tf.saved_model.Asset(str(vocab_file))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False)
    def score(self, text):
        length = tf.strings.length(text)
        return {"score": self.weight * tf.cast(length, tf.float32), "length": length}


def save(module, path):
    """A bundle with two warm-up requests."""
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.score})
    (path / warmup.FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(path / warmup.FILE)) as writer:
        for texts in (["a"], ["two", "texts"]):
            writer.write(warmup.log_of("serving_default", {"text": texts}).SerializeToString())


@pytest.fixture
def small(tmp_path, tiny_vocab_file):
    """A bundle of `Lengths`, to be spoilt."""
    save(Lengths(tiny_vocab_file), tmp_path / "1")
    return tmp_path / "1"


def outcomes(report):
    return {check.name: check.outcome for check in report.checks}


def failure(path, **arguments):
    """The only failed check of a bundle: its name, and what it says in one line."""
    report = check_bundle(str(path), **{"without_python": False} | arguments)
    (failed,) = [check for check in report.checks if check.outcome == "FAILED"]
    assert not report.passed and failed.name in report.verdict and "\n" not in failed.detail
    return failed.name, failed.detail


def test_a_good_bundle_passes(bundle, model):
    seen = []
    report = check_bundle(
        bundle,
        model,
        LatencyPlan((1, 3), (8, 16, 100, 200), 0.2),
        without_python=False,
        on_check=seen.append,
    )
    assert outcomes(report) == dict.fromkeys(
        ["structure", "ops", "load", "warm-up", "hard texts", "model", "latency"], "passed"
    )
    assert seen == report.checks
    assert report.passed and report.verdict == f"{bundle} can be served"
    details = {check.name: check.detail for check in report.checks}
    assert details["warm-up"] == f"{len(warmup.read(bundle))} requests answered"
    assert "not asked" not in details["hard texts"]
    # The longest row has 48 tokens: longer ones are not pretended.
    assert [(row["batch_size"], row["length"]) for row in report.latency] == [
        (rows, length) for rows in (1, 3) for length in (8, 16, 48)
    ]
    for row in report.latency:
        assert row["calls"] >= 3 and 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["tokens_per_second"] == row["rows_per_second"] * row["length"]
    assert json.loads(json.dumps(report.as_dict()))["passed"] is True


def test_another_models_answers_are_noticed(bundle, model, tmp_path):
    other = model_directory.read(model)
    other.weights["discriminator_head/logit/bias"] += 1e-3
    model_directory.write(other, str(tmp_path / "other"))
    read = read_bundle(bundle)
    with ServingSession(read) as session:
        with pytest.raises(
            ValueError,
            match="detect_replaced, replaced_probability of .* must be the model's to within 1e-05",
        ):
            model_answers.compare(read, session, str(tmp_path / "other"))


def test_missing_files_are_named(small):
    for missing in (
        "assets/vocab.txt",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ):
        os.rename(small / missing, small / "away")
        name, detail = failure(small)
        assert name == "structure" and missing.split("-0")[0] in detail
        os.rename(small / "away", small / missing)
    os.remove(small / "saved_model.pb")
    assert failure(small) == (
        "structure",
        "A bundle must be a directory with saved_model.pb, "
        f"such as SERVING_DIR/1. Received: {small}",
    )


def test_a_cut_off_graph_has_one_readable_cause(small):
    path = small / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:5000])
    name, detail = failure(small)
    assert name == "structure" and "must be a whole SavedModel" in detail


def test_cut_off_weights_have_one_readable_cause(small):
    path = small / "variables" / "variables.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:100])
    name, detail = failure(small)
    assert name == "load" and detail.startswith("cannot be loaded: ") and len(detail) < 400


def test_a_spoilt_warm_up_file_is_noticed(small):
    path = small / warmup.FILE
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 7])
    assert failure(small)[0] == "warm-up"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(warmup.log_of("absent", {"text": ["a"]}).SerializeToString())
    name, detail = failure(small)
    assert name == "warm-up" and "Received: absent" in detail


def test_no_warm_up_is_said(small):
    os.remove(small / warmup.FILE)
    report = check_bundle(str(small), without_python=False)
    assert outcomes(report)["warm-up"] == "skipped" and report.passed
    assert report.verdict.endswith("not checked: warm-up")


def test_python_in_the_graph_is_refused_before_it_runs(small, tiny_vocab_file):
    called = []

    class Python(Lengths):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False)
        def score(self, text):
            length = tf.numpy_function(
                lambda x: called.append(x) or np.zeros(len(x), np.int32), [text], tf.int32
            )
            return {"length": tf.ensure_shape(length, [None])}

    module = Python(tiny_vocab_file)
    shutil.rmtree(small)
    tf.saved_model.save(module, str(small), signatures={"serving_default": module.score})
    report = check_bundle(str(small))
    assert outcomes(report) == {"structure": "passed", "ops": "FAILED"} and not called
    assert "PyFunc in function __inference_score_" in report.checks[-1].detail


def _other_tag(graph):
    graph.meta_info_def.tags.append("gpu")


def _no_default(graph):
    graph.signature_def["other"].CopyFrom(graph.signature_def.pop("serving_default"))


def _fixed_batch(graph):
    graph.signature_def["serving_default"].inputs["text"].tensor_shape.dim[0].size = 4


def _sparse(graph):
    graph.signature_def["serving_default"].outputs["score"].coo_sparse.values_tensor_name = "x:0"


def _other_method(graph):
    graph.signature_def["serving_default"].method_name = "tensorflow/serving/classify"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_tag, "tags must be serve (received: serve, gpu)"),
        (_no_default, "there must be a signature serving_default (received: other)"),
        (_fixed_batch, "text must have a free batch dimension (received: [4])"),
        (_sparse, "score must be a dense tensor (received: coo_sparse)"),
        (
            _other_method,
            "tensorflow/serving/classify has the input inputs and the outputs classes, "
            "scores (received: text and length, score)",
        ),
    ],
)
def test_what_is_wrong_with_signatures(small, change, message):
    path = small / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    name, detail = failure(small)
    assert name == "structure" and message in detail


def test_numbers_that_are_none_are_noticed(tmp_path, tiny_vocab_file):
    module = Lengths(tiny_vocab_file)
    module.weight.assign(np.nan)
    save(module, tmp_path / "1")
    report = check_bundle(str(tmp_path / "1"), without_python=False)
    failed = {check.name: check.detail for check in report.checks if check.outcome == "FAILED"}
    assert failed == {
        "warm-up": "warm-up request 1 to serving_default: score must be finite (received: nan)",
        "hard texts": "hard texts to serving_default: score must be finite (received: nan)",
    }


def test_without_a_compiler_the_verdict_says_so(small, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    report = check_bundle(str(small))
    (check,) = [check for check in report.checks if check.name == "without Python"]
    assert check.outcome == "skipped" and check.detail.startswith("no C compiler")
    assert report.passed and "not checked: without Python" in report.verdict


def test_other_answers_of_the_c_program_are_noticed(small, monkeypatch):
    def altered(bundle, requests):
        with ServingSession(bundle) as session:
            answers = [session.answer(request) for request in requests]
        return [
            *answers[:-2],
            {name: value + 1 for name, value in answers[-2].items()},
            answers[-1],
        ]

    monkeypatch.setattr(native, "why_not", lambda: None)
    monkeypatch.setattr(native, "answers", altered)
    name, detail = failure(small, without_python=True)
    assert name == "without Python" and "must be as in Python" in detail


@pytest.mark.slow
def test_the_c_program_gives_pythons_numbers(bundle):
    """Python's here are those of the usual loader, not of the session that checking uses."""
    signatures = tf.saved_model.load(bundle).signatures
    requests = [
        Request(name, {"text": np.array(texts, object)}, "a test")
        for name in ("detect_replaced", "encode")
        for texts in (TEXTS, TEXTS[:2], TEXTS[3:4], [])
    ]
    random = np.random.default_rng(0)
    ids = {
        name: random.integers(0, high, [3, 11]).astype(np.int32)
        for name, high in (("input_ids", 60), ("input_mask", 2), ("segment_ids", 2))
    }
    requests.append(Request("detect_replaced_ids", ids, "a test"))
    for request, answers in zip(requests, native.answers(read_bundle(bundle), requests)):
        expected = signatures[request.signature](
            **{
                name: tf.constant(value, tf.string if value.dtype == object else value.dtype)
                for name, value in request.inputs.items()
            }
        )
        assert answers.keys() == expected.keys()
        for name, values in expected.items():
            values = values.numpy()
            assert answers[name].shape == values.shape
            if values.dtype == np.float32:
                np.testing.assert_allclose(answers[name], values, atol=1e-5, rtol=1e-5)
            else:
                assert answers[name].tolist() == values.tolist()


@pytest.mark.slow
def test_the_c_program_says_why_it_fails(bundle, tmp_path):
    damaged = pathlib.Path(shutil.copytree(bundle, tmp_path / "1"))
    bundle = read_bundle(str(damaged))
    requests = [Request("encode", {"text": np.array(TEXTS, object)}, "a test")]
    ids = np.full([1, 4], 10**6, np.int32)  # beyond the vocabulary
    wrong = Request(
        "detect_replaced_ids",
        dict.fromkeys(("input_ids", "input_mask", "segment_ids"), ids),
        "a test",
    )
    with pytest.raises(ValueError, match=r"the C program failed: request failed: .*indices"):
        native.answers(bundle, [*requests, wrong])
    (damaged / "variables" / "variables.index").write_bytes(b"none")
    with pytest.raises(ValueError, match="the C program failed: cannot load the SavedModel: "):
        native.answers(bundle, requests)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_finetuned_bundles_pass(kind, tmp_path, tiny_vocab_file):
    path = write_finetuned(tmp_path / "model", tiny_vocab_file, **KINDS[kind])
    report = check_bundle(
        export_run(path, str(tmp_path / "serving")), path, LatencyPlan((2,), (12,), 0.1)
    )
    assert set(outcomes(report).values()) == {"passed"}, report.as_dict()


@pytest.mark.slow
def test_command(bundle, model, small, tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "electra_tf", "check", *arguments],
            text=True,
            capture_output=True,
            cwd=ROOT,
            timeout=TIME_LIMIT,
        )

    result = run(
        bundle,
        f"--model={model}",
        "--seconds=0.2",
        "--batch_sizes=1,2",
        "--lengths=9",
        f"--json={tmp_path / 'report.json'}",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("passed  ") == 8 and "p99 ms" in result.stdout
    assert result.stdout.splitlines()[-1] == f"{bundle} can be served"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] and len(report["latency"]) == 2
    os.remove(small / "assets" / "vocab.txt")
    result = run(f"--bundle={small}", "--seconds=0")
    assert result.returncode == 1 and "FAILED  structure: " in result.stdout
    assert result.stderr == f"error: {small} must not be served: structure failed\n"
    result = run(str(small), "--lengths=many")
    assert result.returncode == 1 and "--lengths must be whole numbers" in result.stderr
