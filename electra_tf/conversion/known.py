"""What converters know of the networks: anything else is refused, not left out in silence."""

import dataclasses

from electra_tf.config import ModelConfig
from electra_tf.config.blocks import BLOCKS, Block
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
_FIELDS |= {"block", "global_every", "rope_theta", "local_rope_theta"}
_FIELDS |= {field.name for field in dataclasses.fields(Block)}


def is_bert(model: ModelConfig) -> bool:
    """Whether all elements of the block are BERT's."""
    return model.elements() == BLOCKS["bert"]


def require_known(model: ModelConfig, output_format: str, only_bert: bool = True) -> None:
    """Raises UserError if a model is not a BERT in all its parts, as far as other formats go.

    A field that is not among those above must have its default, whatever it will be about.

    Args:
        model: of the config.
        output_format: for the message.
        only_bert: whether the format has no other block; else its elements are for the caller.
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
    if only_bert and not is_bert(model):
        raise UserError(
            f"For --output_format={output_format} config.model.block must be bert with all its "
            f"elements. Received: block={model.block}, which differs by "
            f"{model.elements().differences(BLOCKS['bert'])}"
        )
