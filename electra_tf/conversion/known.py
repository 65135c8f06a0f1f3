"""What converters know of the networks: anything else is refused, not left out in silence."""

import dataclasses

from electra_tf.config import ModelConfig
from electra_tf.errors import UserError

_SHARING = ("all", "embeddings", "token_embeddings", "none")
_FIELDS = {
    "vocab_size",
    "hidden_size",
    "num_layers",
    "num_heads",
    "intermediate_size",
    "embedding_size",
    "max_positions",
    "type_vocab_size",
    "hidden_dropout",
    "attention_dropout",
    "initializer_range",
    "layer_norm_epsilon",
    "sharing",
}


def require_known(model: ModelConfig, output_format: str) -> None:
    """Raises UserError if a model is not a BERT in all its parts, as far as other formats go.

    A field that is not among those above must have its default, whatever it will be about.

    Args:
        model: of the config.
        output_format: for the message.
    """
    allowed = {field.name: field.default for field in dataclasses.fields(model)}
    for name, default in allowed.items():
        value = getattr(model, name)
        known = value in _SHARING if name == "sharing" else name in _FIELDS or value == default
        if not known:
            choices = ", ".join(_SHARING) if name == "sharing" else default
            raise UserError(
                f"For --output_format={output_format} config.model.{name} must be {choices}, all "
                f"that converters know. Received: {value}"
            )
