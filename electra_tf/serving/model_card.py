"""model_card.json: what a bundle is, for whoever finds it on a server."""

import dataclasses
import datetime
import importlib.metadata
import os
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

import electra_tf
from electra_tf import file_systems, objectives
from electra_tf.config import Config
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.json_files import read_json
from electra_tf.saved.finetuned import config_of
from electra_tf.saved.model_directory import require_vocabulary
from electra_tf.serving import graph_file
from electra_tf.text import tokenization

FILE = "model_card.json"
_PACKAGES = ("tensorflow", "tensorflow-text", "keras")
_BESIDE_SETTINGS = ("size", "fingerprint", "sha256")  # in "vocabulary"
_METRICS = ("eval.json", "results.json")  # of pre-training and of fine-tuning


def describe(
    workdir: str,
    bundle: str,
    *,
    step: int,
    max_seq_length: int,
    precision: str,
    command: str | None,
) -> dict:
    """The content of a bundle's model card.

    Args:
        workdir: the run or model directory that it was exported from.
        bundle: its directory, with a complete saved_model.pb.
        step, max_seq_length, precision: of the export.
        command: what was called; None from Python.

    Returns:
        What can be written as JSON. `metrics` are the run's, null where it was not evaluated;
        `tokens_trained` counts input tokens without padding, null where the run's data set is
        not at hand.
    """
    config = config_of(workdir)
    has_task = isinstance(config, FinetuneConfig)
    task = (
        f"{config.task.kind}: {config.task.name}"
        if has_task
        else objectives.objective_class(config).description
    )
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "task": task,
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "export_command": command,
        "versions": {"electra_tf": electra_tf.__version__, **versions},
        "step": step,
        "tokens_trained": None if has_task else _tokens_trained(config, step),
        "precision": precision,
        "max_seq_length": max_seq_length,
        "vocabulary": vocabulary_of(workdir, config),
        "metrics": _metrics(workdir),
        "signatures": signatures_of(bundle),
        "config": dataclasses.asdict(config),
    }


def signatures_of(bundle: str) -> dict[str, dict]:
    """Every signature of a bundle by name.

    Returns:
        For each its `method`, and `inputs` and `outputs` by name: `dtype` and `shape`, null where
        a dimension is free.
    """
    return {
        name: {
            "method": signature.method_name.removeprefix("tensorflow/serving/"),
            "inputs": _tensors(signature.inputs),
            "outputs": _tensors(signature.outputs),
        }
        for name, signature in graph_file.signatures_of(graph_file.read_graph(bundle)).items()
    }


def tokenizer_of(card: dict) -> tuple[dict, str | None]:
    """The tokenizer's settings and fingerprint in a model card; older cards lack both."""
    described = card.get("vocabulary", {})
    settings = {name: item for name, item in described.items() if name not in _BESIDE_SETTINGS}
    return {"name": "wordpiece"} | settings, described.get("fingerprint")


def _tensors(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, dict]:
    return {
        name: {
            "dtype": tf.dtypes.as_dtype(tensor.dtype).name,
            "shape": [None if dim.size < 0 else dim.size for dim in tensor.tensor_shape.dim],
        }
        for name, tensor in sorted(tensors.items())
    }


def vocabulary_of(workdir: str, config: Config | FinetuneConfig) -> dict:
    """Of a run's or a model's tokenizer: size, fingerprint and digest, and its settings."""
    settings = tokenization.settings_of(config.data)
    vocabulary = require_vocabulary(workdir, config)
    return {
        "size": len(vocabulary),
        "fingerprint": vocabulary.fingerprint(settings),
        "sha256": tokenization.digest(workdir, settings),
        **settings,
    }


def _metrics(workdir: str) -> dict | None:
    for name in _METRICS:
        path = os.path.join(workdir, name)
        if file_systems.exists(path):
            return read_json(path)
    return None


def _tokens_trained(config: Config, step: int) -> int | None:
    """Updates times examples times the mean length of an example."""
    length, sources = 0.0, config.data.sources()
    for directory, weight in sources.items():
        path = os.path.join(directory, "dataset.json")
        if not directory or not file_systems.exists(path):
            return None
        train = read_json(path)["splits"]["train"]
        length += train["tokens"] / train["examples"] * weight / sum(sources.values())
    return round(config.train.batch_sizes().examples(step) * length)
