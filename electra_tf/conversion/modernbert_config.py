"""config.json of ModernBERT in Hugging Face's transformers, in its older and its newer form."""

import json
import os
from typing import Any

from electra_tf.config import ModelConfig
from electra_tf.config.checks import at_least, between, divides
from electra_tf.conversion import huggingface_config
from electra_tf.errors import UserError
from electra_tf.files import write_text

MODEL_TYPE = "modernbert"
_FULL, _LOCAL = "full_attention", "sliding_attention"
# Our field, theirs, and the value of a file that does not say.
_FIELDS = (
    ("vocab_size", "vocab_size", 50368),
    ("hidden_size", "hidden_size", 768),
    ("num_layers", "num_hidden_layers", 22),
    ("num_heads", "num_attention_heads", 12),
    ("intermediate_size", "intermediate_size", 1152),
    ("max_positions", "max_position_embeddings", 8192),
    ("hidden_dropout", "embedding_dropout", 0.0),
    ("attention_dropout", "attention_dropout", 0.0),
    ("initializer_range", "initializer_range", 0.02),
    ("layer_norm_epsilon", "norm_eps", 1e-5),
)
# The only values with which the network is ours.
_REQUIRED = {
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "decoder_bias": True,
    "tie_word_embeddings": True,
}
_BIASES = ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias")


def read(directory: str) -> ModelConfig:
    """The network that `directory`/config.json tells.

    Raises:
        UserError: it cannot be read, or is of a network that ours cannot compute.
    """
    content = huggingface_config.content_of(directory)
    path = os.path.join(directory, "config.json")
    for name, value in _REQUIRED.items():
        if content.get(name, value) != value:
            raise _other(name, json.dumps(value), content[name], path)
    biases = [content.get(name, False) for name in _BIASES]
    if biases not in ([False] * len(_BIASES), [True] * len(_BIASES)):
        raise _other(", ".join(_BIASES), "all true or all false", biases, path)
    model = ModelConfig(block="modern", biases="true" if biases[0] else "auto")
    huggingface_config.read_sizes(model, content, _FIELDS, path)
    model.embedding_size = model.hidden_size
    between(f"norm_eps in {path}", model.layer_norm_epsilon, 0.0, 1.0)
    divides(f"num_attention_heads in {path}", model.num_heads, "hidden_size", model.hidden_size)
    model.global_every = _global_every(content, model.num_layers, path)
    window = _number(content, "local_attention", 128, path)
    at_least(f"local_attention in {path}", window, 2)
    model.local_window = 2 * (int(window) // 2)
    model.rope_theta = _theta(content, _FULL, "global_rope_theta", 160_000.0, path)
    model.local_rope_theta = _theta(content, _LOCAL, "local_rope_theta", 10_000.0, path)
    return model


def write(
    model: ModelConfig, architecture: str, ids: dict[str, int | None], directory: str
) -> None:
    """Writes `directory`/config.json.

    Args:
        model: sizes.
        architecture: the class in transformers that the tensors are of.
        ids: of special tokens, by transformers' names.
        directory: where to.
    """
    elements = model.elements()
    kinds = [_LOCAL if model.window(layer) else _FULL for layer in range(model.num_layers)]
    content = {
        "architectures": [architecture],
        "model_type": MODEL_TYPE,
        **_REQUIRED,
        **dict.fromkeys(_BIASES, elements.biases),
        **{theirs: getattr(model, ours) for ours, theirs, _ in _FIELDS},
        "mlp_dropout": model.hidden_dropout,
        "local_attention": elements.local_window or 128,
        "layer_types": kinds,
        "rope_parameters": {
            _FULL: {"rope_type": "default", "rope_theta": model.rope_theta},
            _LOCAL: {"rope_type": "default", "rope_theta": model.local_rope_theta},
        },
        # The same as older versions of transformers read it.
        "global_attn_every_n_layers": model.global_every if elements.local_window else 1,
        "global_rope_theta": model.rope_theta,
        "local_rope_theta": model.local_rope_theta,
        **ids,
        "dtype": "float32",
    }
    write_text(os.path.join(directory, "config.json"), json.dumps(content, indent=2) + "\n")


def _global_every(content: dict[str, Any], num_layers: int, path: str) -> int:
    """Of which layers every one is global; the first is."""
    kinds = content.get("layer_types")
    if kinds is None:
        every = int(_number(content, "global_attn_every_n_layers", 3, path))
        at_least(f"global_attn_every_n_layers in {path}", every, 1)
        return every
    for every in range(1, num_layers + 1):
        if kinds == [_LOCAL if layer % every else _FULL for layer in range(num_layers)]:
            return every
    rule = f"{_FULL} at regular distances, from the first layer on, between {_LOCAL}"
    raise _other("layer_types", rule, kinds, path)


def _theta(content: dict[str, Any], kind: str, older: str, default: float, path: str) -> float:
    parameters = content.get("rope_parameters") or {}
    own = parameters.get(kind) if isinstance(parameters, dict) else None
    own = {} if own is None else own
    if not isinstance(parameters, dict) or not isinstance(own, dict):
        raise _other("rope_parameters", "objects by the kinds of layers", parameters, path)
    scaling = content.get("rope_scaling")
    if own.get("rope_type", "default") != "default" or scaling is not None:
        raise _other("rope_type", '"default"', scaling or own, path)
    theta = float(_number(own or content, "rope_theta" if own else older, default, path))
    at_least(f"rope_theta of {kind} in {path}", theta, 1)
    return theta


def _number(content: dict[str, Any], name: str, default, path: str):
    return huggingface_config.number_of(content, name, default, path)


def _other(name: str, rule: str, value: Any, path: str) -> UserError:
    return UserError(
        f"config.json of a ModernBERT must have {name}, where it is there, as follows: {rule}; "
        f"other networks would give other numbers. Received: {json.dumps(value):.120} in {path}"
    )
