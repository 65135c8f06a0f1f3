"""Networks for ONNX Runtime: they answer as the Keras model, at any length, in float32 and int8."""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime import quantization

import electra_tf
from electra_tf.errors import UserError
from electra_tf.serving import network_files, onnx_files
from electra_tf.tasks.base import features
from tests.integration.random_finetuned import write_finetuned
from tests.integration.test_export_finetuned import KINDS
from tests.integration.test_lite import SIZES, assert_finetuned, batch_of
from tests.integration.tiny_tasks import write_model

FILES = ("model.onnx", "model_int8.onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file, **SIZES)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    output = tmp_path_factory.mktemp("onnx") / "out"
    return output, onnx_files.export_onnx(model, str(output))


def answers_of(path, batch):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, batch)))


@pytest.mark.parametrize(("name", "tolerance"), [(FILES[0], 1e-5), (FILES[1], 0.05)])
def test_answers_are_the_keras_models(model, exported, name, tolerance):
    keras_model, spread = electra_tf.load(model), []
    for rows, length in ((1, 5), (3, 48), (2, 17), (1, 2)):
        batch = batch_of(keras_model.config.model.vocab_size, rows, length)
        expected, answers = np.asarray(keras_model(batch)), answers_of(exported[0] / name, batch)
        assert list(answers) == ["logits"] and answers["logits"].shape == (rows, length)
        there = batch[features.INPUT_MASK] > 0
        np.testing.assert_allclose(answers["logits"][there], expected[there], atol=tolerance)
        spread.append(expected[there])
    assert np.concatenate(spread).std() > 3 * tolerance  # the comparison means something


def test_report_is_what_is_there(exported):
    output, report = exported
    assert sorted(os.listdir(output)) == [*FILES, "report.json", "vocab.txt"]
    assert json.loads((output / "report.json").read_text()) == report
    assert report["inputs"] == ["input_ids", "input_mask", "segment_ids"]
    assert report["outputs"] == ["logits"] and report["longest"] == 48
    assert report["vocabulary"]["lower_case"] is True
    assert report["onnxruntime"] == onnxruntime.__version__
    sizes = {name: figures["bytes"] for name, figures in report["files"].items()}
    assert sizes == {name: os.path.getsize(output / name) for name in FILES}
    assert sizes["model_int8.onnx"] < 0.6 * sizes["model.onnx"]
    exact, rounded = (report["files"][name]["logits"] for name in FILES)
    assert exact["largest_difference"] < 1e-5
    assert 1e-4 < rounded["mean_difference"] < rounded["largest_difference"] < 0.05
    lines = network_files.describe(report)
    assert len(lines) == 2 and lines[1].startswith("model_int8.onnx: 0.")


@pytest.mark.parametrize("name", FILES)
def test_axes_are_free_and_ops_are_onnxs_own(exported, name):
    file = onnx.load(exported[0] / name)
    for value in (*file.graph.input, *file.graph.output):
        axes = [dimension.dim_param for dimension in value.type.tensor_type.shape.dim]
        assert axes == ["batch", "length"], value.name
    onnx.checker.check_model(file, full_check=True)
    assert {node.domain for node in file.graph.node} == {""}


def test_matrices_and_tables_have_eight_bits(exported):
    graph = onnx.load(exported[0] / "model_int8.onnx").graph
    large = [array for array in graph.initializer if np.prod(array.dims) >= 32 * 64]
    eight_bits = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    assert len(large) > 10 and all(array.data_type in eight_bits for array in large)


def test_nothing_is_left_of_a_failure(model, tmp_path, monkeypatch):
    def failing(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(quantization, "quantize_dynamic", failing)
    with pytest.raises(KeyboardInterrupt):
        onnx_files.export_onnx(model, str(tmp_path / "out"))
    assert not os.listdir(tmp_path)


def test_what_has_no_network_for_ids(tmp_path, tiny_vocab_file):
    answers = write_finetuned(tmp_path / "squad", tiny_vocab_file, **KINDS["squad"])
    with pytest.raises(UserError, match="which only the SavedModel does"):
        onnx_files.export_onnx(answers, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("onnx_files", "tf2onnx", "onnx"), ("lite", "ai_edge_litert", "tflite")],
)
def test_a_missing_package_is_told_with_its_extra(module, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"{package}.interpreter", raising=False)
    monkeypatch.delitem(sys.modules, f"electra_tf.serving.{module}", raising=False)
    with pytest.raises(UserError, match=rf"{package} must be .*electra_tf\[{extra}\]"):
        __import__(f"electra_tf.serving.{module}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"squad"}))
def test_finetuned_networks(kind, tmp_path, tiny_vocab_file):
    path = write_finetuned(tmp_path / "model", tiny_vocab_file, **KINDS[kind])
    report = onnx_files.export_onnx(path, str(tmp_path / "out"))
    assert_finetuned(path, report, onnx_files.Onnx().open(str(tmp_path / "out" / FILES[0])))
