"""A model's network alone as files of another runtime: token ids in, float32 and int8.

A `Format` writes the files of one runtime and asks it; `lite` and `onnx_files` are the two. Tokens
are made by the app, from vocab.txt and the settings in the report. Any number of rows and any
length up to the model's positions can be asked for.
"""

import abc
import importlib.metadata
import json
import os
import re
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from electra_tf import features, files, objectives
from electra_tf.errors import UserError
from electra_tf.files import Kind, expand, new_directory, write_text
from electra_tf.models.layers import for_inference
from electra_tf.saved import model_directory
from electra_tf.saved.finetuned import is_finetuned, load_network
from electra_tf.serving import model_card
from electra_tf.serving.graph.finetuned import servable_of
from electra_tf.text import tokenization

REPORT = "report.json"
INPUTS = features.data_features(packed=False)
# What the float32 file may differ by, relative to the largest output: it is the same arithmetic.
_TOLERANCE = 1e-4
_ROWS = 8  # per length, for measuring differences

Arrays = dict[str, np.ndarray]


class Network(tf.Module):
    """A module whose function `answer` maps int32 [B, L] `INPUTS` to outputs; not traced yet."""

    def __init__(self, model, answer: Callable[[dict], dict]):
        super().__init__(name="network")
        self.weights = [variable.value for variable in model.trainable_variables]
        self.answer = tf.function(
            lambda input_ids, input_mask, segment_ids: answer(
                dict(zip(INPUTS, (input_ids, input_mask, segment_ids)))
            ),
            autograph=False,
            input_signature=[tf.TensorSpec([None, None], tf.int32, name) for name in INPUTS],
        )


class Format(abc.ABC):
    """The files of a runtime.

    Attributes:
        runtime: its name.
        float32, int8: names of the two files.
        packages: those that make and check them, whose versions the report has.
    """

    runtime: ClassVar[str]
    float32: ClassVar[str]
    int8: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]

    @property
    def kind(self) -> Kind:
        """The directories that such an export makes."""
        names = (self.float32, self.int8, *tokenization.ALL_FILES)
        return Kind(f"{self.runtime} files", REPORT, tuple(map(re.escape, names)))

    @abc.abstractmethod
    def write(self, network: Network, folder: str) -> None:
        """Writes both files of a network that was traced `for_inference`."""

    @abc.abstractmethod
    def open(self, path: str) -> Callable[[Arrays], Arrays]:
        """A file as a function of batches of `INPUTS`, to outputs by name."""


def export(
    written: Format, workdir: str | os.PathLike, output: str, *, overwrite: bool = False
) -> dict:
    """Writes a network's float32 and int8 file, the tokenizer's files and report.json.

    Args:
        written: the format.
        workdir: of `electra_tf pretrain` or `finetune`, or a model directory.
        output: new or empty directory; complete afterwards, or not there at all.
        overwrite: replace an output that is such a directory and nothing else.

    Returns:
        The content of report.json: the files' sizes and by how much their outputs differ from the
        Keras model's, on random tokens: `files`, by name `bytes` and by output
        `largest_difference` and `mean_difference`; `inputs`, `outputs`, `longest` row; `labels` of
        a last axis, where it has any, of a tagger one for each token: O, B-, I-, E-, S- and a type
        where tags are spans; the tokenizer's settings and fingerprint in `vocabulary`, and
        versions by package.

    Raises:
        UserError: the model cannot be exported, or `output` may not be written, see `files.output`.
    """
    workdir = expand(workdir)
    output = files.output(output, written.kind, inputs=[workdir], overwrite=overwrite)
    model, answer, config, labels = _network(workdir)
    keras_network = Network(model, answer)
    calls = _calls(config.model.vocab_size, config.model.max_positions)
    expected = [
        {name: value.numpy() for name, value in keras_network.answer(**call).items()}
        for call in calls
    ]
    report = {
        "inputs": list(INPUTS),
        "outputs": sorted(expected[0]),
        "labels": list(labels),
        "longest": config.model.max_positions,
        "vocabulary": model_card.vocabulary_of(workdir, config),
        **{name: importlib.metadata.version(name) for name in written.packages},
        "compared_rows": _ROWS * len(calls),
        "files": {},
    }
    with for_inference():
        network = Network(model, answer)
        network.answer.get_concrete_function()
    with new_directory(output, written.kind if overwrite else None) as folder:
        written.write(network, folder)
        for name in (written.float32, written.int8):
            path = os.path.join(folder, name)
            answers = [*map(written.open(path), calls)]
            figures = _differences(expected, answers, calls)
            report["files"][name] = {"bytes": os.path.getsize(path)} | figures
        _require_equal(report["files"][written.float32], expected)
        tokenization.copy(workdir, folder, tokenization.settings_of(config.data))
        write_text(os.path.join(folder, REPORT), json.dumps(report, indent=2) + "\n")
    return report


def describe(report: dict) -> list[str]:
    """A line for each file of a report."""
    lines = []
    for name, figures in report["files"].items():
        parts = [
            f"{output} differs by {figures[output]['largest_difference']:.2g} at most, "
            f"{figures[output]['mean_difference']:.2g} on average"
            for output in report["outputs"]
        ]
        lines.append(f"{name}: {figures['bytes'] / 1e6:.2f} MB; {'; '.join(parts)}")
    return lines


def _network(workdir: str):
    """Returns the Keras model, its outputs as a function of a batch, its config and its labels."""
    if is_finetuned(workdir):
        task, model, _, config = load_network(workdir)
        answer, labels = servable_of(task).ids_network(task, model)
        return model, answer, config, labels
    model = model_directory.load_network(workdir)
    able = objectives.objective_class(model.config).answerable(model)
    detecting = [served for served in able if served.signature == "detect_replaced_ids"]
    if not detecting:
        raise UserError(
            "A pre-trained model whose network is exported must have a discriminator with its "
            f"head. Received: {workdir}"
        )
    encoder, head = detecting[0].layers(model)
    return model, lambda batch: {"logits": head(encoder(batch))}, model.config, ()


def _calls(vocab_size: int, longest: int) -> list[Arrays]:
    """Rows of random tokens in two lengths, some of them shorter than their batch."""
    random, calls = np.random.default_rng(0), []
    for length in sorted({max(1, longest // 4), longest}):
        lengths = random.integers(max(1, length // 2), length + 1, [_ROWS, 1])
        lengths[0] = length
        mask = (np.arange(length) < lengths).astype(np.int32)
        ids = random.integers(vocab_size, size=mask.shape, dtype=np.int32) * mask
        calls.append(dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)))))
    return calls


def _differences(expected: list[Arrays], answers: list[Arrays], calls: list[Arrays]) -> dict:
    """By output, how answers differ; of outputs for each token, without padding."""
    figures = {}
    for name in expected[0]:
        pairs = []
        for wanted, got, call in zip(expected, answers, calls):
            mask = call[features.INPUT_MASK] > 0
            per_token = wanted[name].shape[:2] == mask.shape
            pairs.append(
                [part[name][mask if per_token else slice(None)].ravel() for part in (wanted, got)]
            )
        wanted, got = (np.concatenate(parts) for parts in zip(*pairs))
        off = np.abs(wanted - got)
        figures[name] = {
            "largest_difference": float(off.max()),
            "mean_difference": float(off.mean()),
        }
    return figures


def _require_equal(figures: dict, expected: list[Arrays]) -> None:
    for name in expected[0]:
        size = max(1.0, *(float(np.abs(answer[name]).max()) for answer in expected))
        difference = figures[name]["largest_difference"]
        if not difference <= _TOLERANCE * size:
            raise UserError(
                f"The float32 file must answer as the Keras model, {name} to within "
                f"{_TOLERANCE * size:.1g}. Received: a difference of "
                f"{difference:.2g}; the installed packages convert the model wrongly"
            )
