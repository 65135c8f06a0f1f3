"""What the shapes in a checkpoint of google-research/electra cannot tell, and its JSON.

The original knows two kinds of JSON: the hyper-parameters of its `--hparams`, where sizes of the
network stand in `model_hparam_overrides`, and the flat config of a BERT. Both are read; the first
is written.
"""

import dataclasses
import os
from collections.abc import Callable, Collection

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.models.electra import Electra

LAYER_NORM_EPSILON = 1e-12  # fixed in the original's code
_SIZES = {
    "vocab_size": "vocab_size",
    "embedding_size": "embedding_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_positions",
    "type_vocab_size": "type_vocab_size",
}
_RATES = {
    "hidden_dropout_prob": "hidden_dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "initializer_range": "initializer_range",
}
_HEADS = ("num_attention_heads", "generator_num_attention_heads")
_FRACTIONS = ("generator_hidden_size", "generator_layers")
_FLAGS = ("do_lower_case", "electra_objective", "untied_generator", "untied_generator_embeddings")
# Settings of the tokenizer that the original lacks.
_TOKENIZER = {"tokenize_chinese_chars": True, "never_split": "", "added_tokens": ""}
_LARGEST = 2**31
_HIDDEN_SIZES = {"small": 256, "base": 768, "large": 1024}  # by model_size


@dataclasses.dataclass
class Settings:
    """A JSON file of the original.

    Attributes:
        path: of the file; None where there is none.
        values: by key, those of `model_hparam_overrides` among them; null is left out.
    """

    path: str | None = None
    values: dict = dataclasses.field(default_factory=dict)


def read_settings(path: str | None) -> Settings:
    """Reads a JSON file; no path, no settings.

    Raises:
        UserError: the file cannot be read, is no JSON object, or has values of a wrong type.
    """
    if path is None:
        return Settings()
    path = os.fspath(path)
    values = read_json(path)
    overrides = values.pop("model_hparam_overrides", None) or {}
    if not isinstance(overrides, dict):
        raise UserError(
            f"model_hparam_overrides must be an object. Received: {overrides!r:.60} in {path}"
        )
    values = {key: value for key, value in {**overrides, **values}.items() if value is not None}
    for keys, types, what in (
        ((*_SIZES, *_RATES, *_HEADS, *_FRACTIONS), (int, float), "a number"),
        (_FLAGS, (bool,), "true or false"),
    ):
        for key in keys:
            value = values.get(key, types[0]())
            # Infinity and NaN are numbers of Python's JSON.
            if type(value) not in types or not abs(value) < _LARGEST:
                raise UserError(f"{key} must be {what}. Received: {value!r:.60} in {path}")
    return Settings(path, values)


def complete(
    config: Config,
    settings: Settings,
    parts: Collection[str],
    source: str,
    say: Callable[[str], None],
) -> None:
    """Fills in heads, dropout and tokenization; `config` has the sizes and what is shared.

    Args:
        config: is changed.
        settings: what is known beside the shapes.
        parts: which of generator_head and discriminator_head the checkpoint has.
        source: name of the checkpoint, for messages.
        say: receives a line where the original's rule decides about heads.

    Raises:
        UserError: the settings contradict the checkpoint, or heads do not divide.
    """
    values, model = settings.values, config.model
    own_generator = "generator_head" in parts and _is_electra(config) and model.sharing != "all"
    _check_agreement(config, settings, parts, own_generator, source)
    ruled = []
    model.num_heads, rule = _heads(settings, _HEADS[0], model.hidden_size)
    named = _HIDDEN_SIZES.get(str(values.get("model_size")))
    if rule and named != model.hidden_size:  # a named size is known to have the rule's heads
        ruled.append(f"num_attention_heads={model.num_heads}")
    generator = config.generator_model()
    if own_generator:
        heads, rule = _heads(settings, _HEADS[1], generator.hidden_size)
        config.generator.num_heads = 0 if heads == max(1, generator.hidden_size // 64) else heads
        if rule:
            ruled.append(f"generator_num_attention_heads={heads}")
    elif model.sharing != "all" and generator.hidden_size % generator.num_heads:
        config.generator.num_heads = 1  # of a generator that is not there, but must be possible
    if ruled:
        say(
            f"{source}: shapes do not tell the heads, so by the original's rule of 64 per head "
            f"{', '.join(ruled)}; --config_json=FILE.json with these keys decides otherwise."
        )
    for key, field in _RATES.items():
        setattr(model, field, values.get(key, getattr(model, field)))
    config.data.lower_case = config.data.strip_accents = values.get("do_lower_case", True)


def hparams(config: Config, parts: Collection[str]) -> dict:
    """The original's `--hparams` for a model.

    The original refuses keys that it does not know, except in `model_hparam_overrides`: there
    stands generator_num_attention_heads, where it is not what the original's rule would give.

    Args:
        config: of the model.
        parts: which of generator_head and discriminator_head the model has.

    Raises:
        UserError: the original has no such model.
    """
    model, data = config.model, config.data
    if model.layer_norm_epsilon != LAYER_NORM_EPSILON:
        raise _not_expressible(
            "config.model.layer_norm_epsilon", LAYER_NORM_EPSILON, model.layer_norm_epsilon
        )
    if data.strip_accents != data.lower_case:
        raise _not_expressible(
            "config.data.strip_accents",
            "the value of config.data.lower_case",
            f"{data.strip_accents} and {data.lower_case}; --lower_case and --nolower_case set "
            "both, --strip_accents and --nostrip_accents this alone",
        )
    for name, default in _TOKENIZER.items():
        if getattr(data, name) != default:
            raise _not_expressible(f"config.data.{name}", repr(default), getattr(data, name))
    overrides = {
        key: getattr(model, field)
        for key, field in (_SIZES | _RATES).items()
        if key not in ("vocab_size", "embedding_size")
    }
    result = {
        "model_size": "small",
        "model_hparam_overrides": overrides,
        "embedding_size": model.embedding_size,
        "vocab_size": model.vocab_size,
        "do_lower_case": data.lower_case,
    }
    overrides["num_attention_heads"] = model.num_heads
    if "generator_head" not in parts:
        return result
    if not _is_electra(config):
        return result | {"electra_objective": False}
    if model.sharing == "all":
        return result | {"untied_generator": False}
    generator, fractions = config.generator_model(), config.generator
    if model.sharing == "token_embeddings":
        raise _not_expressible("config.model.sharing", "all, embeddings or none", model.sharing)
    if generator.intermediate_size != 4 * generator.hidden_size:
        raise _not_expressible(
            "the generator's intermediate size",
            f"4 x hidden = {4 * generator.hidden_size}",
            generator.intermediate_size,
        )
    if model.sharing == "none" and generator.embedding_size != generator.hidden_size:
        raise _not_expressible(
            "config.generator.embedding_size",
            f"the generator's hidden size {generator.hidden_size}",
            generator.embedding_size,
        )
    if generator.num_heads != max(1, generator.hidden_size // 64):
        overrides["generator_num_attention_heads"] = generator.num_heads
    return result | {
        "untied_generator": True,
        "untied_generator_embeddings": model.sharing == "none",
        "generator_hidden_size": fractions.hidden_fraction,
        "generator_layers": fractions.layer_fraction,
    }


def _is_electra(config):
    return objectives.objective_class(config).model_class is Electra


def _heads(settings, key, hidden):
    """Returns (number of heads, whether by rule)."""
    heads = settings.values.get(key)
    given = heads is not None
    heads = heads if given else max(1, hidden // 64)
    if type(heads) is not int or heads < 1 or hidden % heads:
        raise UserError(
            f"{key} must be a whole number that divides the hidden size {hidden}; "
            f"--config_json=FILE.json gives it. Received: {heads!r} "
            f"{f'in {settings.path}' if given else 'by the rule of 64 per head'}"
        )
    return heads, not given


def _check_agreement(config, settings, parts, own_generator, source):
    values, model = settings.values, config.model
    activation = values.get("hidden_act", "gelu")
    if str(activation).lower() != "gelu":
        raise UserError(
            f'hidden_act must be "gelu", which every ELECTRA has. '
            f"Received: {activation!r} in {settings.path}"
        )
    found = {key: getattr(model, field) for key, field in _SIZES.items()}
    if "generator_head" in parts:
        found["electra_objective"] = _is_electra(config)
        if _is_electra(config):
            found["untied_generator"] = model.sharing != "all"
    if own_generator:
        found["untied_generator_embeddings"] = model.sharing == "none"
    differences = [
        f"{key} {values[key]} instead of {value}"
        for key, value in found.items()
        if key in values and values[key] != value
    ]
    if own_generator:
        generator = config.generator_model()
        for key, whole, size in zip(
            _FRACTIONS,
            (model.hidden_size, model.num_layers),
            (generator.hidden_size, generator.num_layers),
            strict=True,
        ):
            if key in values and round(whole * values[key]) != size:
                differences.append(f"{key} {values[key]} of {whole} instead of {size}")
    if differences:
        raise UserError(
            f"The config of a checkpoint must have the sizes of its tensors. "
            f"Received: {settings.path} with {', '.join(differences)} in {source}"
        )


def _not_expressible(what, allowed, value):
    return UserError(
        f"For --output_format=google {what} must be {allowed}, all that the original "
        f"can build. Received: {value}"
    )
