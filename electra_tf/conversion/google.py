"""Checkpoints of google-research/electra: variables by name, as TensorFlow 1 wrote them."""

import collections
import fnmatch
import glob
import json
import os
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from electra_tf import objectives
from electra_tf.config import Config, directories
from electra_tf.conversion import google_config
from electra_tf.conversion.known import require_known
from electra_tf.errors import UserError
from electra_tf.files import Kind, new_directory, write_text
from electra_tf.models.electra import Electra, MaskedLM
from electra_tf.saved.model_directory import Pretrained
from electra_tf.saved.weights import compare_shapes
from electra_tf.text import tokenization
from electra_tf.train.checkpoint import UNREADABLE

_STEP = "global_step"
_ELECTRIC = {"generator_ltr", "generator_rtl", "cloze_predictions"}
_SCOPES = {
    "embeddings": "electra/embeddings",
    "generator_embeddings": "generator/embeddings",
    "discriminator": "electra",
    "encoder": "electra",
    "generator": "generator",
    "generator_head": "generator_predictions",
    "head": "generator_predictions",
    "discriminator_head": "discriminator_predictions",
}
_IN_LAYER = {
    "attention/qkv": ["attention/self/query", "attention/self/key", "attention/self/value"],
    "attention/output": ["attention/output/dense"],
    "attention/layer_norm": ["attention/output/LayerNorm"],
    "feed_forward/intermediate": ["intermediate/dense"],
    "feed_forward/output": ["output/dense"],
    "feed_forward/layer_norm": ["output/LayerNorm"],
}
_NAMES = {
    "tokens": "word_embeddings",
    "positions": "position_embeddings",
    "segments": "token_type_embeddings",
    "layer_norm": "LayerNorm",
    "logit": "dense_1",
}


def variable_names(path: str) -> list[str]:
    """The original's variables behind one of ours.

    Args:
        path: path of a trained weight of an `Electra` or a `MaskedLM`.

    Returns:
        One name, or three (query, key, value) to be joined along the last axis.
    """
    scope, _, rest = path.partition("/")
    in_layer = re.fullmatch(r"(layer_\d+)/(\w+/\w+)/(\w+)", rest)
    if in_layer:
        layer, block, weight = in_layer.groups()
        return [f"{_SCOPES[scope]}/encoder/{layer}/{name}/{weight}" for name in _IN_LAYER[block]]
    return ["/".join([_SCOPES[scope], *(_NAMES.get(part, part) for part in rest.split("/"))])]


def read(
    path: str,
    config_json: str | None = None,
    *,
    encoder_only: bool = False,
    say: Callable[[str], None] = print,
) -> Pretrained:
    """Reads a pre-trained model; everything is checked by name and shape before it is loaded.

    Args:
        path: prefix of a checkpoint, or a directory whose file `checkpoint` names one or that has
            only one. Its vocab.txt is taken, if there is one.
        config_json: file with what shapes cannot tell, see `google_config`; default: config.json
            beside the checkpoint, else the original's rules.
        encoder_only: reads the encoder and leaves out generator and heads.
        say: receives what the user should know, line by line.

    Raises:
        UserError: a file cannot be read, tensors are missing, extra or of another shape, or the
            JSON contradicts them.
    """
    checkpoint = _Checkpoint(_prefix(os.fspath(path), say))
    source, shapes = checkpoint.prefix, dict(checkpoint.shapes)
    if encoder_only:
        left_out = sorted({_part(name) for name in shapes} - {"electra"})
        if left_out:
            say(f"{source}: left out {', '.join(left_out)}.")
        shapes = {name: shape for name, shape in shapes.items() if _part(name) == "electra"}
    config, parts = _networks(shapes, source)
    folder = os.path.dirname(source)
    if config_json is None and os.path.exists(os.path.join(folder, "config.json")):
        config_json = os.path.join(folder, "config.json")
        say(f"{source}: heads and other settings from {config_json}.")
    google_config.complete(config, google_config.read_settings(config_json), parts, source, say)
    ours = objectives.build_objective(objectives.validate(config)).variable_shapes(parts)
    compare_shapes(_their_shapes(ours), shapes, source)
    weights = {
        path: np.concatenate([checkpoint.read(name) for name in variable_names(path)], -1)
        for path in ours
    }
    settings = tokenization.settings_of(config.data)
    place = tokenization.find(settings, folder)
    vocabulary = None if place is None else tokenization.read_vocabulary(place, settings)
    return Pretrained(config, weights, vocabulary, checkpoint.step)


def write(pretrained: Pretrained, directory: str, replaced: Kind | None = None) -> None:
    """Writes a checkpoint, complete or not at all, with vocab.txt and config.json.

    config.json works as the original's `--hparams`. The original always gives its generator
    max(1, hidden // 64) heads: another number is in config.json and comes back with `read`, but
    the original would ignore it.

    Args:
        pretrained: the model.
        directory: new directory.
        replaced: see `new_directory`.

    Raises:
        UserError: the original has no such model.
    """
    objectives.require_networks(pretrained.config, (Electra, MaskedLM), "google")
    require_known(pretrained.config.model, "google")
    parts = _parts(pretrained.weights)
    settings = google_config.hparams(pretrained.config, parts)
    tensors = {}
    for path, value in pretrained.weights.items():
        names = variable_names(path)
        tensors |= zip(names, np.split(value, len(names), axis=-1), strict=True)
    if pretrained.step:
        tensors[_STEP] = np.array(pretrained.step, np.int64)
    name = f"model.ckpt-{pretrained.step}"
    with new_directory(directory, replaced) as folder:
        tf.raw_ops.SaveV2(
            prefix=os.path.join(folder, name),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=list(tensors.values()),
        )
        write_text(
            os.path.join(folder, "checkpoint"),
            f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n',
        )
        write_text(os.path.join(folder, "config.json"), json.dumps(settings, indent=2) + "\n")
        if pretrained.vocabulary is not None:
            pretrained.vocabulary.save(folder)


class _Checkpoint:
    """A file of the original.

    Attributes:
        prefix: path without .index.
        shapes: by name, of the weights alone: no optimizer slots, no counters.
        step: 0 where it is not known.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self._reader = self._guarded(tf.train.load_checkpoint, prefix)
        shapes = self._reader.get_variable_to_shape_map()
        if "_CHECKPOINTABLE_OBJECT_GRAPH" in shapes:
            raise UserError(
                f"A google checkpoint must have variables by name, as TensorFlow 1 wrote them. "
                f"Received: {prefix}, a checkpoint of objects; --input_format=electra_tf reads "
                "runs and models of this project"
            )
        # An optimizer's slot is named below its variable; a scalar is a counter.
        self.shapes = {
            name: tuple(shape)
            for name, shape in sorted(shapes.items())
            if shape and name.rpartition("/")[0] not in shapes
        }
        self.step = int(self._guarded(self._reader.get_tensor, _STEP)) if _STEP in shapes else 0

    def read(self, name: str) -> np.ndarray:
        """A weight, float32."""
        value = self._guarded(self._reader.get_tensor, name)
        if value.dtype not in (np.float32, np.float16, tf.bfloat16.as_numpy_dtype):
            raise UserError(
                f"Weights must be float32 or shorter floats. Received: {name} of "
                f"{value.dtype} in {self.prefix}"
            )
        return value.astype(np.float32, copy=False)

    def _guarded(self, function, *args):
        try:
            return function(*args)
        except UNREADABLE as error:
            raise UserError(
                f"A checkpoint must be complete and readable. Received: {self.prefix} "
                f"({' '.join(map(str, args))}: {str(error).splitlines()[0]})"
            ) from None


def _prefix(path, say):
    """The checkpoint that a user means by a path."""
    if not os.path.isdir(path):
        if not os.path.exists(f"{path}.index"):
            raise UserError(
                "The input must be a directory with a checkpoint or the prefix of "
                "one, DIR/model.ckpt-STEP without .index or .data. "
                f"Received: {path}"
            )
        return path
    prefixes = [
        found.removesuffix(".index")
        for found in sorted(glob.glob(os.path.join(glob.escape(path), "*.index")))
    ]
    state = tf.train.get_checkpoint_state(path)
    # The file often holds the absolute path of the machine that trained the model.
    named = os.path.join(path, os.path.basename(state.model_checkpoint_path)) if state else None
    if named not in prefixes:
        if len(prefixes) != 1:
            names = ", ".join(map(os.path.basename, prefixes))
            there = f"{path} with {names}" if names else f"{directories.describe(path)}, with none"
            raise UserError(
                f"A directory must have one checkpoint, or a file `checkpoint` that names one; "
                f"else give its prefix, DIR/NAME. Received: {there}"
            )
        named = prefixes[0]
    say(f"{path}: reading {os.path.basename(named)}.")
    return named


def _part(name):
    """What a variable belongs to, as users know it."""
    scopes = name.split("/")
    return "/".join(scopes[:2]) if scopes[0] == "task_specific" else scopes[0]


def _parts(weights):
    return [
        part
        for part in ("generator_head", "discriminator_head")
        if {part, part.removeprefix("generator_")} & {path.split("/")[0] for path in weights}
    ]


def _their_shapes(ours):
    shapes = {}
    for path, shape in ours.items():
        names = variable_names(path)
        shapes |= {name: (*shape[:-1], shape[-1] // len(names)) for name in names}
    return shapes


def _networks(shapes: dict[str, tuple], source: str) -> tuple[Config, list[str]]:
    """Which networks there are, of which sizes.

    Returns:
        A config without heads, and which of generator_head and discriminator_head there are.
    """
    scopes = {_part(name) for name in shapes}
    tasks = sorted(scope for scope in scopes if scope.startswith("task_specific"))
    if tasks or scopes & _ELECTRIC:
        raise UserError(
            "A checkpoint must be a pre-trained ELECTRA or BERT. Received: "
            f"{source} with {', '.join(tasks or sorted(scopes & _ELECTRIC))}, "
            f"{'heads of a fine-tuned model' if tasks else 'the towers of an Electric'}; "
            "--encoder_only reads the encoder alone"
        )
    config = Config()
    model, generator = config.model, config.generator
    for field, pattern, axis in (
        ("vocab_size", "electra/embeddings/word_embeddings", 0),
        ("max_positions", "electra/embeddings/position_embeddings", 0),
        ("type_vocab_size", "electra/embeddings/token_type_embeddings", 0),
        ("embedding_size", "electra/embeddings/*", -1),
        ("hidden_size", "electra/encoder/layer_*/LayerNorm/*", -1),
        ("intermediate_size", "electra/encoder/layer_*/intermediate/dense/*", -1),
    ):
        setattr(model, field, _size(shapes, pattern, axis, source))
    model.num_layers = _num_layers(shapes, "electra")
    masked_lm, detector = "generator_predictions" in scopes, "discriminator_predictions" in scopes
    if "generator" in scopes:
        masked_lm = True
        hidden = _size(shapes, "generator/encoder/layer_*/LayerNorm/*", -1, source)
        wide = _size(shapes, "generator/encoder/layer_*/intermediate/dense/*", -1, source)
        generator.hidden_fraction = hidden / model.hidden_size
        generator.layer_fraction = _num_layers(shapes, "generator") / model.num_layers
        generator.intermediate_size = 0 if wide == 4 * hidden else wide
        if fnmatch.filter(shapes, "generator/embeddings/*"):
            model.sharing = "none"
            size = _size(shapes, "generator/embeddings/*", -1, source)
            generator.embedding_size = 0 if size == hidden else size
    elif masked_lm and detector:
        model.sharing, generator.hidden_fraction = "all", 1.0
    elif masked_lm:
        config.objective.name = objectives.name_of(MaskedLM)
    there = {"generator_head": masked_lm, "discriminator_head": detector}
    return config, [part for part in there if there[part]]


def _size(shapes, pattern, axis, source):
    """The size that most of the tensors agree on, so that a wrong one is told as wrong."""
    sizes = collections.Counter(shapes[name][axis] for name in fnmatch.filter(shapes, pattern))
    if not sizes:
        raise UserError(
            f"A checkpoint of an ELECTRA must have variables {pattern}. "
            f"Received: {source}, which has none"
        )
    return sizes.most_common(1)[0][0]


def _num_layers(shapes, scope):
    numbers = [re.match(rf"{scope}/encoder/layer_(\d+)/", name) for name in shapes]
    return 1 + max(int(match[1]) for match in numbers if match)
