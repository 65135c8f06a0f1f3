"""Networks for TFLite: they answer as the Keras model, at any length, with TFLite's own ops."""

import contextlib
import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import electra_tf
from electra_tf.saved.finetuned import load_network
from electra_tf.serving import lite, network_files
from electra_tf.tasks.base import features
from tests.integration.random_finetuned import write_finetuned
from tests.integration.test_export_finetuned import KINDS
from tests.integration.tiny_tasks import write_model

SIZES = {"hidden_size": 64, "intermediate_size": 256, "embedding_size": 32}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file, **SIZES)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    output = tmp_path_factory.mktemp("lite") / "out"
    report = lite.export_lite(model, str(output))
    return output, report


def runner_of(path):
    return Interpreter(model_path=str(path)).get_signature_runner()


def batch_of(vocab_size, rows, length):
    random = np.random.default_rng(length)
    mask = (np.arange(length) < random.integers(1, length + 1, [rows, 1])).astype(np.int32)
    ids = random.integers(vocab_size, size=[rows, length]).astype(np.int32) * mask
    return {
        features.INPUT_IDS: ids,
        features.INPUT_MASK: mask,
        features.SEGMENT_IDS: random.integers(2, size=[rows, length]).astype(np.int32),
    }


@pytest.mark.parametrize(
    ("name", "tolerance"), [("electra_float32.tflite", 1e-5), ("electra_int8.tflite", 0.05)]
)
def test_answers_are_the_keras_models(model, exported, name, tolerance):
    keras_model, runner = electra_tf.load(model), runner_of(exported[0] / name)
    spread = []
    for rows, length in ((1, 5), (3, 48), (2, 17), (1, 2)):
        batch = batch_of(keras_model.config.model.vocab_size, rows, length)
        expected = np.asarray(keras_model(batch))
        assert runner(**batch)["logits"].shape == (rows, length)
        there = batch[features.INPUT_MASK] > 0
        np.testing.assert_allclose(
            runner(**batch)["logits"][there], expected[there], atol=tolerance
        )
        spread.append(expected[there])
    assert np.concatenate(spread).std() > 3 * tolerance  # the comparison means something


def test_report_is_what_is_there(exported):
    output, report = exported
    assert sorted(os.listdir(output)) == [
        "electra_float32.tflite",
        "electra_int8.tflite",
        "report.json",
        "vocab.txt",
    ]
    assert json.loads((output / "report.json").read_text()) == report
    sizes = {name: figures["bytes"] for name, figures in report["files"].items()}
    assert sizes == {name: os.path.getsize(output / name) for name in sizes}
    assert sizes["electra_int8.tflite"] < 0.6 * sizes["electra_float32.tflite"]
    exact, rounded = (
        report["files"][name]["logits"]
        for name in ("electra_float32.tflite", "electra_int8.tflite")
    )
    assert exact["largest_difference"] < 1e-5
    assert 1e-4 < rounded["mean_difference"] < rounded["largest_difference"] < 0.05
    lines = network_files.describe(report)
    assert len(lines) == 2 and lines[1].startswith("electra_int8.tflite: 0.")


@pytest.mark.parametrize("name", ["electra_float32.tflite", "electra_int8.tflite"])
def test_only_ops_of_tflite_itself(exported, name):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tf.lite.experimental.Analyzer.analyze(model_path=str(exported[0] / name))
    ops = printed.getvalue()
    assert "GELU" in ops and "FULLY_CONNECTED" in ops
    assert "Flex" not in ops and "CUSTOM" not in ops


def test_nothing_is_left_of_a_failure(model, exported, tmp_path, monkeypatch):
    def failing(network, optimizations):
        if optimizations:
            raise KeyboardInterrupt
        return (exported[0] / "electra_float32.tflite").read_bytes()

    monkeypatch.setattr(lite, "_convert", failing)
    with pytest.raises(KeyboardInterrupt):
        lite.export_lite(model, str(tmp_path / "out"))
    assert not os.listdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="must be a new or an empty directory"):
        lite.export_lite(model, str(tmp_path))


def test_a_wrong_conversion_is_not_kept(exported, tmp_path, tiny_vocab_file, monkeypatch):
    other = write_model(tmp_path / "other", tiny_vocab_file, **SIZES | {"num_layers": 1})
    content = (exported[0] / "electra_float32.tflite").read_bytes()
    monkeypatch.setattr(lite, "_convert", lambda *_: content)
    with pytest.raises(ValueError, match="float32 file must answer as the Keras model, logits"):
        lite.export_lite(other, str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["other"]


def test_what_has_no_network_for_tflite(tmp_path, tiny_vocab_file):
    answers = write_finetuned(tmp_path / "squad", tiny_vocab_file, **KINDS["squad"])
    with pytest.raises(ValueError, match="which only the SavedModel does"):
        lite.export_lite(answers, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"squad"}))
def test_finetuned_networks(kind, tmp_path, tiny_vocab_file):
    path = write_finetuned(tmp_path / "model", tiny_vocab_file, **KINDS[kind])
    report = lite.export_lite(path, str(tmp_path / "out"))
    assert_finetuned(path, report, lite.Lite().open(str(tmp_path / "out" / lite.Lite.float32)))


def assert_finetuned(path, report, answers_of):
    """A float32 file answers as the fine-tuned model at `path`, and its report tells the labels."""
    task, network, _, config = load_network(path)
    for rows, length in ((4, 9), (1, 30)):
        batch = batch_of(config.model.vocab_size, rows, length)
        answers = answers_of(batch)
        assert sorted(answers) == report["outputs"]
        expected = {
            name: np.asarray(value)
            for name, value in task.outputs(network.head, network(batch), batch).items()
        }
        if "best" in expected:  # the file has what these are the best of
            there = batch[features.INPUT_MASK] > 0
            assert report["labels"] == list(task.classes)
            best = answers["probabilities"][there].argmax(-1)
            np.testing.assert_array_equal(best, expected["best"][there])
            largest = answers["probabilities"][there].max(-1)
            np.testing.assert_allclose(largest, expected["probability"][there], atol=1e-5)
        else:
            assert report["labels"] == list(task.labels)
            for name, values in expected.items():
                np.testing.assert_allclose(answers[name], values, atol=1e-4)
