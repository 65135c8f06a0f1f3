"""Names and layouts of the original's checkpoints, google-research/electra."""

import numpy as np


def variable_names(path: str) -> list[str]:
    """The original's variables behind one of ours.

    Args:
        path: path of a trained weight of `models.electra.Electra`.

    Returns:
        One name, or three (query, key, value) to be joined along the last axis.
    """
    *scopes, name = path.split("/")
    parts = []
    for scope in scopes:
        parts += _SCOPES.get(scope, [scope])
    # The shared blocks live in the discriminator's scope, "electra".
    if scopes[0] in ("embeddings", "discriminator"):
        parts.insert(0, "electra")
    if scopes[0] in ("discriminator", "generator") and scopes[1].startswith("layer_"):
        parts.insert(1, "encoder")
    name = _WEIGHTS.get(name, name)
    if "qkv" in scopes:
        at = parts.index("qkv")
        return ["/".join([*parts[:at], "self", part, name]) for part in ("query", "key", "value")]
    if scopes[-2:] == ["attention", "output"] or scopes[-2:] == ["feed_forward", "output"]:
        parts += ["dense"]
    if scopes[-2:] == ["attention", "layer_norm"] or scopes[-2:] == ["feed_forward",
                                                                       "layer_norm"]:
        parts.insert(-1, "output")
    return ["/".join([*parts, name])]


_SCOPES = {
    "discriminator": [], "generator_embeddings": ["generator", "embeddings"],
    "layer_norm": ["LayerNorm"], "feed_forward": [], "intermediate": ["intermediate", "dense"],
    "generator_head": ["generator_predictions"],
    "discriminator_head": ["discriminator_predictions"], "logit": ["dense_1"],
}
_WEIGHTS = {"tokens": "word_embeddings", "positions": "position_embeddings",
            "segments": "token_type_embeddings"}


def assign(model, read) -> None:
    """Fills a model from the original's arrays.

    Args:
        model: an `Electra` of the checkpoint's dimensions.
        read: function from the original's variable name to its array.

    Raises:
        ValueError: a shape differs; names both.
    """
    for variable in model.trainable_variables:
        names = variable_names(variable.path)
        value = np.concatenate([read(name) for name in names], axis=-1)
        if value.shape != tuple(variable.shape):
            raise ValueError(f"{variable.path} must have the shape of {names}. "
                             f"Received: {tuple(variable.shape)} and {value.shape}")
        variable.assign(value)
