"""config.json of Hugging Face's Electra models."""

import json
import os

from electra_tf.config import ModelConfig
from electra_tf.conversion.huggingface_tensors import read_json
from electra_tf.files import write_text

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
_REQUIRED = {"model_type": "electra", "hidden_act": "gelu", "position_embedding_type": "absolute",
             "is_decoder": False, "add_cross_attention": False}


def read(directory: str) -> ModelConfig:
    """The sizes that `directory`/config.json tells.

    Raises:
        ValueError: it cannot be read, or is of a network that ours cannot compute.
    """
    path = os.path.join(directory, "config.json")
    content = read_json(path)
    for name, value in _REQUIRED.items():
        if content.get(name, value) != value:
            raise ValueError(f"config.json must have {name}={json.dumps(value)}: other networks "
                             f"would give other numbers. Received: {json.dumps(content[name])} in "
                             f"{path}")
    model = ModelConfig()
    for ours, theirs, default in _FIELDS:
        value = content.get(theirs, default)
        kinds = int if isinstance(default, int) else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"config.json must have a number as {theirs}. Received: "
                             f"{json.dumps(value)} in {path}")
        setattr(model, ours, type(default)(value))
    return model


def write(model: ModelConfig, architecture: str, pad_id: int, directory: str) -> None:
    """Writes `directory`/config.json.

    Args:
        model: sizes.
        architecture: the class in transformers that the tensors are of.
        pad_id: of the token [PAD].
        directory: where to.
    """
    content = {"architectures": [architecture], **_REQUIRED,
               **{theirs: getattr(model, ours) for ours, theirs, _ in _FIELDS},
               "pad_token_id": pad_id, "tie_word_embeddings": True, "dtype": "float32"}
    write_text(os.path.join(directory, "config.json"), json.dumps(content, indent=2) + "\n")
