"""Models of Hugging Face's transformers: config.json, model.safetensors, tokenizer files.

The directory itself holds the discriminator (or a masked language model), its sub-directory
generator/ the generator: there, each network is a model of its own.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from electra_tf import objectives
from electra_tf.config import Config, ModelConfig
from electra_tf.conversion import (
    huggingface_config,
    huggingface_tensors,
    huggingface_tokenizer,
    modernbert,
)
from electra_tf.conversion.huggingface_names import (
    BASE,
    ENCODER,
    OLD_NAMES,
    TIED,
    TOKEN_TABLE,
    from_tensors,
    tensor_names,
    tensor_shapes,
    to_tensors,
)
from electra_tf.conversion.huggingface_state import open_network
from electra_tf.conversion.huggingface_tensors import Tensors
from electra_tf.conversion.known import is_bert, require_known
from electra_tf.errors import UserError
from electra_tf.files import Kind, new_directory
from electra_tf.models.electra import Electra, MaskedLM
from electra_tf.saved.model_directory import Pretrained, allow_any_size
from electra_tf.saved.weights import compare_shapes
from electra_tf.text import tokenization

_GENERATOR = "generator"
# Head of a fine-tuned model, by the beginning of its tensors' names; the first that fits.
_FINE_TUNED = {
    "sequence_summary.": "ElectraForMultipleChoice",
    "classifier.out_proj.": "ElectraForSequenceClassification",
    "classifier.": "ElectraForTokenClassification",
    "qa_outputs.": "ElectraForQuestionAnswering",
}


def read(
    directory: str,
    generator_directory: str | None = None,
    *,
    encoder_only: bool = False,
    allow_pickle: bool = False,
    say: Callable[[str], None] = print,
) -> Pretrained:
    """Reads a model; what it is, is told by its tensors.

    Args:
        directory: of an ElectraForPreTraining, an ElectraModel or an ElectraForMaskedLM; or of a
            ModernBertModel or ModernBertForMaskedLM.
        generator_directory: of an ElectraForMaskedLM, the generator. None: `directory`/generator,
            if it is there.
        encoder_only: reads the encoder alone, of a fine-tuned model too.
        allow_pickle: permits to read pytorch_model.bin, which needs torch.
        say: receives what the user should know.

    Returns:
        An Electra, with a generator if there is one, else without; or a MaskedLM. What generator
        and discriminator share is found by comparing their numbers. The generator's dropout and
        initializer range are not kept: ours has the discriminator's.

    Raises:
        UserError: a file cannot be read, tensors are missing, extra or of another shape, or
            the network is one that ours cannot compute.
    """
    if modernbert.is_one(directory):
        return modernbert.read(
            directory, encoder_only=encoder_only, allow_pickle=allow_pickle, say=say
        )
    pretrained = _read_network(directory, encoder_only, allow_pickle, say)
    config = pretrained.config
    pretrained.vocabulary, settings = huggingface_tokenizer.read(directory, say)
    if generator_directory is None:
        generator_directory = os.path.join(directory, _GENERATOR)
        if not os.path.isdir(generator_directory):
            generator_directory = None
    if generator_directory is not None and not encoder_only:
        generator = _read_network(generator_directory, False, allow_pickle, say)
        _check_pair(pretrained, generator, directory, generator_directory)
        pretrained = _join(pretrained, generator)
    elif objectives.objective_class(config).model_class is Electra:
        allow_any_size(config)
    tokenization.put(settings, pretrained.config.data)
    return pretrained


def write(pretrained: Pretrained, directory: str, replaced: Kind | None = None) -> None:
    """Writes a model, complete or not at all, so that transformers can load it.

    The discriminator becomes an ElectraForPreTraining, without its head an ElectraModel; the
    generator an ElectraForMaskedLM in generator/, with copies of what it shares; a MaskedLM an
    ElectraForMaskedLM. With ModernBERT's block see `modernbert.write`.

    Raises:
        UserError: `directory` is not new or empty, or transformers has no such model.
    """
    objectives.require_networks(pretrained.config, (Electra, MaskedLM), "huggingface")
    require_known(pretrained.config.model, "huggingface", only_bert=False)
    if not is_bert(pretrained.config.model):
        with new_directory(directory, replaced) as folder:
            modernbert.write(pretrained, folder)
        return
    has_generator = any(path.startswith("generator_head/") for path in pretrained.weights)
    with new_directory(directory, replaced) as folder:
        _write_network(_without_generator(pretrained), folder)
        if has_generator:
            os.mkdir(os.path.join(folder, _GENERATOR))
            _write_network(_generator_alone(pretrained), os.path.join(folder, _GENERATOR))


def _read_network(directory, encoder_only, allow_pickle, say) -> Pretrained:
    """One network: an Electra without generator, or a MaskedLM."""
    model, tensors = open_network(directory, allow_pickle, say)
    config = Config(model=model)
    base = BASE if any(name.startswith(BASE) for name in tensors.shapes) else ""
    encoder = tuple(base + part for part in ENCODER) if not base else (base,)
    heads = [name for name in tensors.shapes if not name.startswith(encoder)]
    paths = ["embeddings/tokens"]
    if encoder_only:
        if heads:
            say(f"{tensors.path}: left out {', '.join(heads)}")
    elif any(name.startswith("discriminator_predictions.") for name in heads):
        paths.append("discriminator_head/logit/kernel")
    elif any(name.startswith(("generator_predictions.", "generator_lm_head.")) for name in heads):
        config.objective.name = objectives.name_of(MaskedLM)
    else:
        _refuse_fine_tuned(heads, tensors.path)
    dropped = {*heads} if encoder_only else {TIED}
    shapes = objectives.build_objective(config).variable_shapes(paths)
    names = names_in_file(shapes, base, tensors, dropped)
    weights = {
        path: from_tensors(path, [tensors.read(name) for name in those])
        for path, those in names.items()
    }
    if (
        TIED in tensors.shapes
        and not encoder_only
        and not (
            TOKEN_TABLE in tensors.shapes
            and np.array_equal(tensors.read(TIED), weights["embeddings/tokens"])
        )
    ):
        raise UserError(
            f"{TIED} must be the token table once more: an output matrix of its own "
            f"is not supported. Received: {tensors.path} with another"
        )
    return Pretrained(config, weights)


def names_in_file(
    shapes: dict[str, tuple], base: str, tensors: Tensors, dropped: set[str]
) -> dict[str, list[str]]:
    """The tensors behind each weight, by path, as the file calls them; compares their shapes.

    Args:
        shapes: of all weights, by path.
        base: what the encoder's tensors begin with, BASE or nothing.
        tensors: the file.
        dropped: names in it that are no weights.
    """

    def in_file(name):
        name = base + name.removeprefix(BASE) if name.startswith(BASE) else name
        for new, old in OLD_NAMES.items():
            older = name.removesuffix(new) + old
            if name.endswith(new) and name not in tensors.shapes and older in tensors.shapes:
                return older
        return name

    compare_shapes(
        {
            in_file(name): wanted
            for path, shape in shapes.items()
            for name, wanted in tensor_shapes(path, shape).items()
        },
        {name: shape for name, shape in tensors.shapes.items() if name not in dropped},
        tensors.path,
    )
    return {path: [in_file(name) for name in tensor_names(path)] for path in shapes}


def _refuse_fine_tuned(heads, path):
    for beginning, architecture in _FINE_TUNED.items():
        if any(name.startswith(beginning) for name in heads):
            raise UserError(
                f"This head of a fine-tuned model cannot be converted: give --encoder_only to take "
                f"the encoder alone. Received: an {architecture} with {', '.join(heads)} in {path}"
            )


def _check_pair(discriminator, generator, directory, generator_directory):
    """Raises UserError if two networks cannot be the two of an Electra."""
    names = f"{directory} and the generator {generator_directory}"
    classes = [
        objectives.objective_class(network.config).model_class
        for network in (discriminator, generator)
    ]
    if classes != [Electra, MaskedLM]:
        raise UserError(
            "A model with a generator must be an ElectraForPreTraining or "
            f"ElectraModel, its generator an ElectraForMaskedLM. Received: {names}"
        )
    large, small = discriminator.config.model, generator.config.model
    for field in ("vocab_size", "type_vocab_size", "max_positions", "layer_norm_epsilon"):
        if getattr(large, field) != getattr(small, field):
            raise UserError(
                f"Discriminator and generator must have the same {field}. Received: "
                f"{getattr(large, field)} and {getattr(small, field)} in {names}"
            )
    for field in ("hidden_size", "num_layers"):
        if getattr(small, field) > getattr(large, field):
            raise UserError(
                f"A generator's {field} must be at most the discriminator's. Received:"
                f" {getattr(small, field)} and {getattr(large, field)} in {names}"
            )


def _join(discriminator: Pretrained, generator: Pretrained) -> Pretrained:
    """One Electra out of an Electra without generator and a MaskedLM."""
    config = discriminator.config
    sharing = _sharing(discriminator, generator)
    _describe_generator(config, generator.config.model, sharing)
    scopes = {"head": "generator_head"}
    if sharing != "all":
        scopes["encoder"] = "generator"
    if sharing in ("token_embeddings", "none"):
        scopes["embeddings"] = "generator_embeddings"
    weights = dict(discriminator.weights)
    for path, value in generator.weights.items():
        scope, rest = path.split("/", 1)
        if scope in scopes and (path != "embeddings/tokens" or sharing == "none"):
            weights[f"{scopes[scope]}/{rest}"] = value
    return Pretrained(config, weights, discriminator.vocabulary)


def _sharing(discriminator, generator):
    """Which of `config.sections.SHARING` the numbers of two networks tell."""

    def same(ours, theirs):
        one, other = discriminator.weights.get(ours), generator.weights[theirs]
        return (
            one is not None
            and one.shape == other.shape
            and np.array_equal(one.view(np.int32), other.view(np.int32))
        )

    block = [path for path in generator.weights if path.startswith("embeddings/")]
    if not all(same(path, path) for path in block):
        return "token_embeddings" if same("embeddings/tokens", "embeddings/tokens") else "none"
    sizes = [
        (network.config.model.num_layers, network.config.model.num_heads)
        for network in (discriminator, generator)
    ]
    encoder = [path for path in generator.weights if path.startswith("encoder/")]
    whole = sizes[0] == sizes[1] and all(
        same(path.replace("encoder/", "discriminator/", 1), path) for path in encoder
    )
    return "all" if whole else "embeddings"


def _describe_generator(config: Config, small: ModelConfig, sharing: str) -> None:
    """Sets the fields of `config` from which `generator_model()` makes exactly `small`."""
    model, generator = config.model, config.generator
    model.sharing = sharing
    generator.hidden_fraction = small.hidden_size / model.hidden_size
    generator.layer_fraction = small.num_layers / model.num_layers
    generator.num_heads = small.num_heads
    regular = small.intermediate_size == 4 * small.hidden_size
    generator.intermediate_size = 0 if regular or sharing == "all" else small.intermediate_size
    own_size = sharing == "none" and small.embedding_size != small.hidden_size
    generator.embedding_size = small.embedding_size if own_size else 0


def _without_generator(pretrained: Pretrained) -> Pretrained:
    """The network of the directory itself."""
    weights = {
        path: value
        for path, value in pretrained.weights.items()
        if path.split("/")[0] not in ("generator", "generator_embeddings", "generator_head")
    }
    return dataclasses.replace(pretrained, weights=weights)


def _generator_alone(pretrained: Pretrained) -> Pretrained:
    """The generator as a MaskedLM, with copies of what it shares."""
    config = Config.from_json(pretrained.config.to_json())
    config.model = pretrained.config.generator_model()
    config.objective.name = objectives.name_of(MaskedLM)
    # Where the weight is, or else where the one that it shares is.
    scopes = {
        "embeddings": ("generator_embeddings", "embeddings"),
        "encoder": ("generator", "discriminator"),
        "head": ("generator_head",),
    }
    weights = {}
    for path in objectives.build_objective(config).variable_shapes():
        scope, rest = path.split("/", 1)
        places = [f"{own}/{rest}" for own in scopes[scope]]
        weights[path] = next(
            pretrained.weights[place] for place in places if place in pretrained.weights
        )
    return dataclasses.replace(pretrained, config=config, weights=weights)


def _write_network(pretrained: Pretrained, directory: str) -> None:
    """One network: an Electra without generator, or a MaskedLM."""
    config, vocabulary = pretrained.config, pretrained.vocabulary
    architecture, base = "ElectraForPreTraining", BASE
    if objectives.objective_class(config).model_class is MaskedLM:
        architecture = "ElectraForMaskedLM"
    elif not any(path.startswith("discriminator_head/") for path in pretrained.weights):
        architecture, base = "ElectraModel", ""
    pad_id = 0 if vocabulary is None else vocabulary.pad_id
    huggingface_config.write(config.model, architecture, pad_id, directory)
    tensors = {
        base + name.removeprefix(BASE) if name.startswith(BASE) else name: tensor
        for path, value in pretrained.weights.items()
        for name, tensor in to_tensors(path, value).items()
    }
    huggingface_tensors.save(tensors, directory)
    huggingface_tokenizer.write(pretrained, directory)
