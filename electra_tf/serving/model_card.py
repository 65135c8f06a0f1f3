"""model_card.json: what a bundle is, for whoever finds it on a server."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

import electra_tf
from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.finetune_config import FinetuneConfig
from electra_tf.serving import graph_file
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train.model_directory import VOCABULARY

FILE = "model_card.json"
_PACKAGES = ("tensorflow", "tensorflow-text", "keras")
_METRICS = ("eval.json", "results.json")  # of pre-training and of fine-tuning
_TASKS = {"electra": "replaced token detection", "mlm": "masked language model"}


def describe(workdir: str, bundle: str, *, step: int, max_seq_length: int, precision: str,
             command: str | None) -> dict:
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
    with open(os.path.join(workdir, "config.json"), encoding="utf-8") as file:
        is_finetuned = "task" in json.load(file)
    config = FinetuneConfig.load(workdir) if is_finetuned else configuration.load(workdir)
    task = (f"{config.task.kind}: {config.task.name}" if is_finetuned
            else _TASKS[config.objective.name])
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "task": task,
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "export_command": command,
        "versions": {"electra_tf": electra_tf.__version__, **versions},
        "step": step,
        "tokens_trained": None if is_finetuned else _tokens_trained(config, step),
        "precision": precision,
        "max_seq_length": max_seq_length,
        "vocabulary": _vocabulary(os.path.join(workdir, VOCABULARY), config),
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
    return {name: {"method": signature.method_name.removeprefix("tensorflow/serving/"),
                   "inputs": _tensors(signature.inputs), "outputs": _tensors(signature.outputs)}
            for name, signature in graph_file.signatures_of(graph_file.read_graph(bundle)).items()}


def _tensors(tensors: dict[str, meta_graph_pb2.TensorInfo]) -> dict[str, dict]:
    return {name: {"dtype": tf.dtypes.as_dtype(tensor.dtype).name,
                   "shape": [None if dim.size < 0 else dim.size
                             for dim in tensor.tensor_shape.dim]}
            for name, tensor in sorted(tensors.items())}


def _vocabulary(path: str, config: Config | FinetuneConfig) -> dict:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": len(Vocabulary.from_file(path)), "sha256": digest,
            "lower_case": config.data.lower_case, "strip_accents": config.data.strip_accents}


def _metrics(workdir: str) -> dict | None:
    for name in _METRICS:
        path = os.path.join(workdir, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return json.load(file)
    return None


def _tokens_trained(config: Config, step: int) -> int | None:
    """Updates times examples times the mean length of an example."""
    path = os.path.join(config.data.dir, "dataset.json")
    if not config.data.dir or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        train = json.load(file)["splits"]["train"]
    return round(step * config.train.batch_size * train["tokens"] / train["examples"])
