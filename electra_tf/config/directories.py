"""What a path holds that is no run or model directory, and what makes one of it: for messages."""

import os
from typing import Any

from electra_tf import file_systems

_CONFIG = "config.json"
_HUGGINGFACE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_NETWORKS = {".tflite": "TFLite", ".onnx": "ONNX Runtime"}
_CONVERT = "`electra_tf convert --input={path} --input_format={format} --output=NEW` makes a model"
_FROM_RUN = "nothing can be read back from it: give the run or model that it was exported from"


def is_foreign(directory: str, fields: dict[str, Any]) -> bool:
    """Whether this content of config.json is another program's, such as Hugging Face's."""
    # Ours has sections, which are objects; theirs has the network's sizes beside each other.
    flat = {"architectures", "hidden_size", "model_type", "num_hidden_layers", "vocab_size"}
    return not isinstance(fields.get("model"), dict) and (
        bool(flat & fields.keys()) or bool(_originals(directory))
    )


def describe(path: str) -> str:
    """What is at a path where a run or model directory was expected, and what to do.

    Returns:
        The path with that, as a message says it after "Received: ".
    """
    found = _found(file_systems.normalized(path))
    return f"{path}, {found}" if found else path


def _found(path: str) -> str:
    if not file_systems.is_there(path):
        return "which is not there"
    if not file_systems.is_dir(path):
        runtime = _NETWORKS.get(os.path.splitext(path)[1])
        return f"a file for {runtime}; {_FROM_RUN}" if runtime else "a file"
    if any(_matching(path, graph) for graph in ("saved_model.pb", "*/saved_model.pb")):
        return f"a bundle for servers; {_FROM_RUN}"
    if any(file_systems.exists(os.path.join(path, name)) for name in _HUGGINGFACE):
        return f"a Hugging Face model; {_CONVERT.format(path=path, format='huggingface')}"
    if _originals(path):
        return f"a checkpoint of the original; {_CONVERT.format(path=path, format='google')}"
    for ending, runtime in _NETWORKS.items():
        if _matching(path, f"*{ending}"):
            return f"a directory of files for {runtime}; {_FROM_RUN}"
    if file_systems.exists(os.path.join(path, "dataset.json")):
        return "a data set, which is for config.data.dir"
    if _matching(path, "ckpt-*.index"):
        return f"checkpoints alone; give the directory of their run, {os.path.dirname(path) or '.'}"
    if file_systems.is_dir(os.path.join(path, "checkpoints")):
        return "a run or model of electra_tf; --input_format=electra_tf reads it"
    inside = [os.path.dirname(name) for name in _matching(path, f"*/{_CONFIG}")]
    if inside:
        return f"a directory of others; give one of them, such as {inside[0]}"
    if file_systems.exists(os.path.join(path, _CONFIG)):
        return f"whose {_CONFIG} is another program's"
    return f"which has no {_CONFIG}"


def _originals(path: str) -> list[str]:
    """Checkpoints of the original, which lie in the directory itself."""
    return [
        name
        for name in _matching(path, "*.index")
        if not os.path.basename(name).startswith("ckpt-")
    ]


def _matching(path: str, pattern: str) -> list[str]:
    return sorted(file_systems.matching(path, pattern))
