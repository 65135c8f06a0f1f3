"""config.json of Hugging Face's Electra models."""

import json
import os
from collections.abc import Iterable

from electra_tf.config import ModelConfig, directories
from electra_tf.config.checks import at_least, between, divides
from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.json_files import read_json

_FILE = "config.json"
_LARGEST = 2**31
# Our field, theirs, and the value of a file that does not say.
_FIELDS = (
    ("vocab_size", "vocab_size", 30522),
    ("hidden_size", "hidden_size", 256),
    ("num_layers", "num_hidden_layers", 12),
    ("num_heads", "num_attention_heads", 4),
    ("intermediate_size", "intermediate_size", 1024),
    ("embedding_size", "embedding_size", 128),
    ("max_positions", "max_position_embeddings", 512),
    ("type_vocab_size", "type_vocab_size", 2),
    ("hidden_dropout", "hidden_dropout_prob", 0.1),
    ("attention_dropout", "attention_probs_dropout_prob", 0.1),
    ("initializer_range", "initializer_range", 0.02),
    ("layer_norm_epsilon", "layer_norm_eps", 1e-12),
)
# The only values with which the network is ours.
_REQUIRED = {
    "model_type": "electra",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


def read(directory: str) -> ModelConfig:
    """The sizes that `directory`/config.json tells.

    Raises:
        UserError: it cannot be read, or is of a network that ours cannot compute.
    """
    content = content_of(directory)
    path = os.path.join(directory, _FILE)
    if str(content.get("model_type")).startswith("deberta"):
        raise UserError(
            "A DeBERTa cannot be converted: its attention also compares tokens with relative "
            "positions, which no block of electra_tf does. Received: "
            f"model_type={json.dumps(content['model_type']):.60} in {path}"
        )
    for name, value in _REQUIRED.items():
        if content.get(name, value) != value:
            raise UserError(
                f"config.json must have {name}={json.dumps(value)}: other networks "
                f"would give other numbers. Received: {json.dumps(content[name])} in "
                f"{path}"
            )
    classes = content.get("architectures") or []
    if not isinstance(classes, list) or not all(
        str(name).startswith("Electra") for name in classes
    ):
        raise UserError(
            f"config.json must have architectures of ELECTRA. Received: {json.dumps(classes):.80} "
            f"in {path}"
        )
    model = ModelConfig()
    read_sizes(model, content, _FIELDS, path)
    between(f"layer_norm_eps in {path}", model.layer_norm_epsilon, 0.0, 1.0)
    for name, rate in (
        ("hidden_dropout_prob", model.hidden_dropout),
        ("attention_probs_dropout_prob", model.attention_dropout),
    ):
        between(f"{name} in {path}", rate, 0.0, 1.0, closed=(True, False))
    divides(f"num_attention_heads in {path}", model.num_heads, "hidden_size", model.hidden_size)
    return model


def read_sizes(model: ModelConfig, content: dict, fields: Iterable[tuple], path: str) -> None:
    """Sets fields of `model` to numbers of a config.json.

    Args:
        content: of the file.
        fields: our field, theirs, and the value of a file that does not say.
        path: of the file, for messages.
    """
    for ours, theirs, default in fields:
        value = number_of(content, theirs, default, path)
        if isinstance(default, int):
            at_least(f"{theirs} in {path}", value, 1)
        setattr(model, ours, type(default)(value))


def number_of(content: dict, name: str, default: float, path: str) -> float:
    """A number of a config.json, whole where `default` is."""
    value = content.get(name, default)
    kinds = int if isinstance(default, int) else (int, float)
    # Infinity and NaN are numbers of Python's JSON; the largest are beyond any file.
    if not isinstance(value, kinds) or isinstance(value, bool) or not abs(value) < _LARGEST:
        raise UserError(
            f"config.json must have a number as {name}. Received: {json.dumps(value):.60} in {path}"
        )
    return value


def content_of(directory: str) -> dict:
    """The content of `directory`/config.json; UserError if it is not there or not valid."""
    path = os.path.join(directory, _FILE)
    if not os.path.isfile(path):
        raise UserError(
            f"A Hugging Face model must have {_FILE}. Received: {directories.describe(directory)}"
        )
    return read_json(path)


def is_tied(directory: str) -> bool:
    """Whether the output matrix of a masked language model is its token table."""
    return content_of(directory).get("tie_word_embeddings", True) is True


def write(model: ModelConfig, architecture: str, pad_id: int, directory: str) -> None:
    """Writes `directory`/config.json.

    Args:
        model: sizes.
        architecture: the class in transformers that the tensors are of.
        pad_id: of the token [PAD].
        directory: where to.
    """
    content = {
        "architectures": [architecture],
        **_REQUIRED,
        **{theirs: getattr(model, ours) for ours, theirs, _ in _FIELDS},
        "pad_token_id": pad_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    write_text(os.path.join(directory, "config.json"), json.dumps(content, indent=2) + "\n")
