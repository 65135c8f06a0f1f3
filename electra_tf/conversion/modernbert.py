"""ModernBERT of Hugging Face's transformers: its encoder alone, or with the masked LM's head.

Paths here are those of a `MaskedLM` or of an `Electra` with nothing but its discriminator's
encoder. PyTorch's kernels are [out, in], ours [in, out].
"""

import re
from collections.abc import Callable

import numpy as np

from electra_tf import objectives
from electra_tf.config import Config, ModelConfig
from electra_tf.config.blocks import BLOCKS
from electra_tf.conversion import (
    huggingface_config,
    huggingface_tensors,
    huggingface_tokenizer,
    modernbert_config,
)
from electra_tf.conversion.huggingface_state import unwrapped
from electra_tf.conversion.huggingface_tensors import open_tensors
from electra_tf.errors import UserError
from electra_tf.models.electra import MaskedLM
from electra_tf.saved.model_directory import Pretrained, allow_any_size
from electra_tf.saved.weights import compare_shapes
from electra_tf.text import tokenization

_BASE = "model."  # of the encoder's tensors, but for a ModernBertModel without a head
_ENCODER = ("embeddings.", "layers.", "final_norm.")
_TOKENS, _TIED = "model.embeddings.tok_embeddings.weight", "decoder.weight"
_HEAD = ("head.", "decoder.")
_MODULES = {
    "embeddings": "model.embeddings",
    "embeddings/layer_norm": "model.embeddings.norm",
    "encoder/final_norm": "model.final_norm",
    "head": "decoder",
    "head/dense": "head.dense",
    "head/layer_norm": "head.norm",
}
_LAYER_MODULES = {
    "attention/layer_norm": "attn_norm",
    "attention/qkv": "attn.Wqkv",
    "attention/output": "attn.Wo",
    "feed_forward/layer_norm": "mlp_norm",
    "feed_forward/intermediate": "mlp.Wi",
    "feed_forward/output": "mlp.Wo",
}
_WEIGHTS = {
    "tokens": "tok_embeddings.weight",
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "output_bias": "bias",
}


def is_one(directory: str) -> bool:
    """Whether a Hugging Face model says that it is a ModernBERT."""
    content = huggingface_config.content_of(directory)
    return content.get("model_type") == modernbert_config.MODEL_TYPE


def read(
    directory: str, *, encoder_only: bool, allow_pickle: bool, say: Callable[[str], None]
) -> Pretrained:
    """Reads a ModernBertModel or a ModernBertForMaskedLM; as in `huggingface`."""
    config = Config(model=modernbert_config.read(directory))
    tensors = unwrapped(open_tensors(directory, allow_pickle))
    base = _BASE if any(name.startswith(_BASE) for name in tensors.shapes) else ""
    heads = [name for name in tensors.shapes if not name.startswith(base or _ENCODER)]
    has_head = bool(heads) and not encoder_only
    strange = [name for name in heads if not name.startswith(_HEAD)]
    if encoder_only and heads:
        say(f"{tensors.path}: left out {', '.join(heads)}")
    elif strange:
        raise UserError(
            "This head of a fine-tuned model cannot be converted: give --encoder_only to take the "
            f"encoder alone. Received: {', '.join(strange)} in {tensors.path}"
        )
    if has_head:
        config.objective.name = objectives.name_of(MaskedLM)
    else:
        allow_any_size(config)
    shapes = objectives.build_objective(config).variable_shapes(["embeddings/tokens"])
    names = {
        path: name if base or not name.startswith(_BASE) else name.removeprefix(_BASE)
        for path, name in ((path, _name(path)) for path in shapes)
    }
    found = {name: shape for name, shape in tensors.shapes.items() if name not in heads}
    found |= {name: tensors.shapes[name] for name in heads if has_head and name != _TIED}
    if _TOKENS not in found and _TIED in tensors.shapes and has_head:
        tensors = tensors.renamed({name: name for name in tensors.shapes} | {_TOKENS: _TIED})
        found[_TOKENS] = tensors.shapes[_TOKENS]
    compare_shapes(
        {names[path]: _file_shape(path, shapes[path]) for path in shapes}, found, tensors.path
    )
    weights = {path: _read(tensors, name, path) for path, name in names.items()}
    if (
        has_head
        and _TIED in tensors.shapes
        and not np.array_equal(tensors.read(_TIED), weights["embeddings/tokens"])
    ):
        raise UserError(
            f"{_TIED} must be the token table once more: an output matrix of its own "
            f"is not supported. Received: {tensors.path} with another"
        )
    pretrained = Pretrained(config, weights)
    pretrained.vocabulary, settings = huggingface_tokenizer.read(directory, say)
    tokenization.put(settings, config.data)
    return pretrained


def write(pretrained: Pretrained, directory: str) -> None:
    """Writes the files of a ModernBertForMaskedLM or, of an encoder alone, a ModernBertModel.

    Raises:
        UserError: the network is no ModernBERT, or has what that has no class for.
    """
    config, vocabulary = pretrained.config, pretrained.vocabulary
    _require_modernbert(config.model)
    is_masked_lm = objectives.objective_class(config).model_class is MaskedLM
    scopes = {path.split("/")[0] for path in pretrained.weights}
    if not is_masked_lm and scopes != {"embeddings", "discriminator"}:
        raise UserError(
            "A ModernBERT of transformers must be a masked language model or an encoder alone: it "
            "has no class for replaced-token detection; --encoder_only writes the encoder. "
            f"Received: {', '.join(sorted(scopes))}"
        )
    architecture = "ModernBertForMaskedLM" if is_masked_lm else "ModernBertModel"
    names = {path: _name(path) for path in pretrained.weights}
    tensors = {
        name if is_masked_lm else name.removeprefix(_BASE): np.ascontiguousarray(
            pretrained.weights[path].T if path.endswith("/kernel") else pretrained.weights[path]
        )
        for path, name in names.items()
    }
    modernbert_config.write(config.model, architecture, _special_ids(vocabulary), directory)
    huggingface_tensors.save(tensors, directory)
    huggingface_tokenizer.write(pretrained, directory)


def _name(path: str) -> str:
    """The tensor of one of our weights."""
    path = path.replace("discriminator/", "encoder/", 1)
    module, weight = path.rsplit("/", 1)
    layer = re.fullmatch(r"encoder/layer_(\d+)/(.+)", module)
    if layer is None:
        return f"{_MODULES[module]}.{_WEIGHTS[weight]}"
    return f"model.layers.{layer[1]}.{_LAYER_MODULES[layer[2]]}.{_WEIGHTS[weight]}"


def _file_shape(path, shape):
    return shape[::-1] if path.endswith("/kernel") else shape


def _read(tensors, name, path):
    value = tensors.read(name)
    return np.ascontiguousarray(value.T if path.endswith("/kernel") else value)


def _require_modernbert(model: ModelConfig) -> None:
    """Raises UserError if a network is not one that transformers' ModernBERT can be."""
    modern, own = BLOCKS["modern"], model.elements()
    for name in ("positions", "norm", "feed_forward", "token_types"):
        if getattr(own, name) != getattr(modern, name):
            raise UserError(
                "For --output_format=huggingface config.model.block must be bert or modern with "
                f"these elements: transformers has no such mixture. Received: block={model.block} "
                f"with {own.differences(BLOCKS[model.block]) or 'its own elements'}"
            )
    if model.embedding_size != model.hidden_size:
        raise UserError(
            "For --output_format=huggingface a model with config.model.block=modern must have "
            "embedding_size equal to hidden_size: a ModernBERT has no projection between them. "
            f"Received: {model.embedding_size} and {model.hidden_size}"
        )


def _special_ids(vocabulary) -> dict[str, int | None]:
    if vocabulary is None:
        names = ("pad", "cls", "sep", "bos", "eos")
        return {f"{name}_token_id": None for name in names}
    cls_id, sep_id = vocabulary.cls_id, vocabulary.sep_id
    return {
        "pad_token_id": vocabulary.pad_id,
        "cls_token_id": cls_id,
        "sep_token_id": sep_id,
        "bos_token_id": cls_id,
        "eos_token_id": sep_id,
    }
