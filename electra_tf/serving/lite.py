"""A model's network for TFLite (LiteRT): token ids in, float32 and int8, for phones and the like.

Both files know only TFLite's own ops, so the plain runtime is enough; tokens are made by the app,
from vocab.txt. Any number of rows and any length up to the model's positions can be asked for:
the interpreter's signature runner resizes the inputs.
"""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from keras import ops

from electra_tf import features
from electra_tf.files import new_directory, require_new, write_text
from electra_tf.models import classification_head, heads, layers
from electra_tf.models.electra import Electra
from electra_tf.serving.client.local_bundle import quiet_start
from electra_tf.serving.graph.finetuned import is_finetuned, load_network
from electra_tf.tasks.question_answering import QuestionAnsweringTask
from electra_tf.tasks.tagging import TaggingTask
from electra_tf.train import model_directory
from electra_tf.train.model_directory import VOCABULARY

FLOAT32, INT8, REPORT = "electra_float32.tflite", "electra_int8.tflite", "report.json"
INPUTS = features.data_features(packed=False)
# What the float32 file may differ by, relative to the largest output: it is the same arithmetic.
_TOLERANCE = 1e-4
_ROWS = 8  # per length, for measuring differences


def export_lite(workdir: str, output: str) -> dict:
    """Writes a network as `output`/electra_float32.tflite and electra_int8.tflite.

    In the int8 file large matrices are int8 with a scale per row or column; activations are
    quantized while it runs (dynamic range), so no examples are needed. vocab.txt and report.json,
    what is returned, lie beside them.

    Args:
        workdir: of `python -m electra_tf.pretrain` or `finetune`, or a model directory.
        output: new or empty directory; complete afterwards, or not there at all.

    Returns:
        The files' sizes and by how much their outputs differ from the Keras model's, on random
        tokens: `files`, by name `bytes` and by output `largest_difference` and
        `mean_difference`; `inputs`, `outputs`, `longest` row; `labels` of a last axis, where it
        has any, of a tagger one for each token: O, B-, I-, E-, S- and a type where tags are spans.

    Raises:
        ValueError: the model cannot be exported, or `output` has something in it.
    """
    require_new(output)
    model, answer, config, labels = _network(workdir)
    network = _network_module(model, answer)
    calls = _calls(config.model.vocab_size, config.model.max_positions)
    expected = [{name: value.numpy() for name, value in network.answer(**call).items()}
                for call in calls]
    with _builtin_gelu():
        convertible = _network_module(model, answer)
        function = convertible.answer.get_concrete_function()
    report = {"inputs": list(INPUTS), "outputs": sorted(expected[0]),
              "labels": list(labels), "longest": config.model.max_positions,
              "tensorflow": tf.__version__, "compared_rows": _ROWS * len(calls), "files": {}}
    with new_directory(output) as folder:
        for name, optimizations in ((FLOAT32, []), (INT8, [tf.lite.Optimize.DEFAULT])):
            content = _convert(function, convertible, optimizations)
            report["files"][name] = {"bytes": len(content)} | _differences(
                expected, _answers(content, calls), calls)
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        _require_equal(report["files"][FLOAT32], expected)
        shutil.copyfile(os.path.join(workdir, VOCABULARY), os.path.join(folder, VOCABULARY))
        write_text(os.path.join(folder, REPORT), json.dumps(report, indent=2) + "\n")
    return report


def describe(report: dict) -> list[str]:
    """A line for each file of a report."""
    lines = []
    for name, figures in report["files"].items():
        parts = [f"{output} differs by {figures[output]['largest_difference']:.2g} at most, "
                 f"{figures[output]['mean_difference']:.2g} on average"
                 for output in report["outputs"]]
        lines.append(f"{name}: {figures['bytes'] / 1e6:.2f} MB; {'; '.join(parts)}")
    return lines


def _network(workdir: str):
    """Returns the Keras model, its outputs as a function of a batch, its config and its labels."""
    if is_finetuned(workdir):
        task, model, _, config = load_network(workdir)
        if isinstance(task, QuestionAnsweringTask):
            raise ValueError("A model for TFLite must be pre-trained, or fine-tuned for sentences "
                             "or tags: answers are put together from overlapping windows of text, "
                             f"which only the SavedModel does. Received: {workdir}")
        if isinstance(task, TaggingTask):  # Keras's argmax, of task.outputs, needs another op
            return (model, lambda batch: {"probabilities": ops.softmax(model.head(model(batch)))},
                    config, task.classes)
        return (model, lambda batch: task.outputs(model.head, model(batch), batch), config,
                task.labels if task.kind != "regression" else ())
    model = model_directory.load(workdir)
    if not isinstance(model, Electra) or model.discriminator_head is None:
        raise ValueError("A pre-trained model for TFLite must have a discriminator with its head. "
                         f"Received: {workdir}")
    return model, lambda batch: {"logits": model(batch)}, model.config, ()


def _network_module(model, answer: Callable) -> tf.Module:
    """A module with the signature `answer`, int32 [B, L] inputs; not traced yet."""
    module = tf.Module(name="lite")
    module.weights = [variable.value for variable in model.trainable_variables]
    module.answer = tf.function(
        lambda input_ids, input_mask, segment_ids: answer(
            dict(zip(INPUTS, (input_ids, input_mask, segment_ids)))), autograph=False,
        input_signature=[tf.TensorSpec([None, None], tf.int32, name) for name in INPUTS])
    return module


@contextlib.contextmanager
def _builtin_gelu() -> Iterator[None]:
    """What is traced in this block uses TensorFlow's spelling of GELU.

    It is the same function as ours, but TFLite's converter recognizes it and has one op for it.
    Of ours it would keep Erf, which TFLite does not have, and so refuse the model.
    """
    modules, kept = (layers, heads, classification_head), layers.gelu
    for module in modules:
        module.gelu = tf.nn.gelu
    try:
        yield
    finally:
        for module in modules:
            module.gelu = kept


def _convert(function, module: tf.Module, optimizations: list) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.optimizations = optimizations
    with quiet_start():
        return converter.convert()


def _calls(vocab_size: int, longest: int) -> list[dict[str, np.ndarray]]:
    """Rows of random tokens in two lengths, some of them shorter than their batch."""
    random, calls = np.random.default_rng(0), []
    for length in sorted({max(1, longest // 4), longest}):
        lengths = random.integers(max(1, length // 2), length + 1, [_ROWS, 1])
        lengths[0] = length
        mask = (np.arange(length) < lengths).astype(np.int32)
        ids = random.integers(vocab_size, size=mask.shape, dtype=np.int32) * mask
        calls.append(dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)))))
    return calls


def _answers(content: bytes, calls: list[dict]) -> list[dict[str, np.ndarray]]:
    with quiet_start(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the interpreter's move to LiteRT
        runner = tf.lite.Interpreter(model_content=content).get_signature_runner()
        return [runner(**call) for call in calls]


def _differences(expected: list[dict], answers: list[dict], calls: list[dict]) -> dict:
    """By output, how answers differ; of outputs for each token, without padding."""
    figures = {}
    for name in expected[0]:
        pairs = []
        for wanted, got, call in zip(expected, answers, calls):
            mask = call[features.INPUT_MASK] > 0
            per_token = wanted[name].shape[:2] == mask.shape
            pairs.append([part[name][mask if per_token else slice(None)].ravel()
                          for part in (wanted, got)])
        wanted, got = (np.concatenate(parts) for parts in zip(*pairs))
        off = np.abs(wanted - got)
        figures[name] = {"largest_difference": float(off.max()),
                         "mean_difference": float(off.mean())}
    return figures


def _require_equal(figures: dict, expected: list[dict]) -> None:
    for name in expected[0]:
        size = max(1.0, *(float(np.abs(answer[name]).max()) for answer in expected))
        difference = figures[name]["largest_difference"]
        if not difference <= _TOLERANCE * size:
            raise ValueError(f"The float32 file must answer as the Keras model, {name} to within "
                             f"{_TOLERANCE * size:.1g}. Received: a difference of "
                             f"{difference:.2g}; this TensorFlow converts the model wrongly")
