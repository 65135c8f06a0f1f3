"""Names and layouts of the tensors in Hugging Face's Electra models.

A file there holds one network, so paths here are those of a `MaskedLM`, of an `Electra` without a
generator, or of a `Finetuned`, where tags/ stands for a tagger's task/logit/. PyTorch's kernels are
[out, in], ours [in, out]; it has query, key and value apart.
"""

import re

import numpy as np

BASE = "electra."  # of the encoder's tensors, but for an ElectraModel without any head
# Of the encoder's tensors, behind BASE.
ENCODER = ("embeddings.", "embeddings_project.", "encoder.")
TOKEN_TABLE = BASE + "embeddings.word_embeddings.weight"
TIED = "generator_lm_head.weight"  # the token table once more
# What older files call a LayerNorm's weight and bias.
OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

_MODULES = {
    "embeddings": BASE + "embeddings",
    "embeddings/layer_norm": BASE + "embeddings.LayerNorm",
    "discriminator/embeddings_project": BASE + "embeddings_project",
    "encoder/embeddings_project": BASE + "embeddings_project",
    "discriminator_head/dense": "discriminator_predictions.dense",
    "discriminator_head/logit": "discriminator_predictions.dense_prediction",
    "head": "generator_lm_head",
    "head/dense": "generator_predictions.dense",
    "head/layer_norm": "generator_predictions.LayerNorm",
    "task/dense": "classifier.dense",
    "task/logit": "classifier.out_proj",
    "tags": "classifier",
}
_LAYER_MODULES = {
    "attention/output": ["attention.output.dense"],
    "attention/layer_norm": ["attention.output.LayerNorm"],
    "attention/qkv": [f"attention.self.{part}" for part in ("query", "key", "value")],
    "feed_forward/intermediate": ["intermediate.dense"],
    "feed_forward/output": ["output.dense"],
    "feed_forward/layer_norm": ["output.LayerNorm"],
}
_WEIGHTS = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "output_bias": "bias",
    "tokens": "word_embeddings.weight",
    "positions": "position_embeddings.weight",
    "segments": "token_type_embeddings.weight",
}


def tensor_names(path: str) -> list[str]:
    """The tensors behind one of our weights: one, or query, key and value."""
    module, weight = path.rsplit("/", 1)
    layer = re.fullmatch(r"(?:encoder|discriminator)/layer_(\d+)/(.+)", module)
    modules = (
        [_MODULES[module]]
        if layer is None
        else [f"{BASE}encoder.layer.{layer[1]}.{part}" for part in _LAYER_MODULES[layer[2]]]
    )
    return [f"{module}.{_WEIGHTS[weight]}" for module in modules]


def tensor_shapes(path: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of those tensors by name, from the shape of our weight."""
    names = tensor_names(path)
    shape = (*shape[:-1], shape[-1] // len(names))
    return dict.fromkeys(names, shape[::-1] if path.endswith("/kernel") else shape)


def to_tensors(path: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Those tensors, contiguous, from our weight."""
    names = tensor_names(path)
    parts = np.split(value, len(names), axis=-1)
    # Contiguous, because safetensors writes the memory of an array whatever its strides are.
    return {
        name: np.ascontiguousarray(part.T if path.endswith("/kernel") else part)
        for name, part in zip(names, parts, strict=True)
    }


def from_tensors(path: str, tensors: list[np.ndarray]) -> np.ndarray:
    """Our weight from those tensors, in the order of `tensor_names`."""
    parts = [tensor.T if path.endswith("/kernel") else tensor for tensor in tensors]
    return np.ascontiguousarray(np.concatenate(parts, axis=-1))
