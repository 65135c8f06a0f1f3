"""The tokenizers by name, and where the files of one lie; TensorFlow only once one is built.

A tokenizer's `settings` are a dict of its `name` and what else decides its ids: `settings_of` a
config, "tokenizer" in dataset.json, `Tokenizer.settings`. Its files lie in every data directory,
run, model directory and bundle, and its fingerprint (`Vocabulary.fingerprint`) stands in
dataset.json, config.json and model_card.json: what is joined must have the same one.
"""

import hashlib
import importlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from electra_tf import file_systems
from electra_tf.config.sections import TokenizerConfig
from electra_tf.errors import UserError
from electra_tf.files import new_file
from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary
from electra_tf.text.piece_vocabulary import PieceVocabulary
from electra_tf.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from electra_tf.text.tokenizer import Tokenizer


class _Kind(NamedTuple):
    """A tokenizer.

    Attributes:
        module, tokenizer: where its class is and what it is called.
        vocabulary: of what it is made; reads and names the files.
        settings: the fields of `TokenizerConfig` that it takes.
        others: those that are left out where they have this value, as older files do.
    """

    module: str
    tokenizer: str
    vocabulary: type[Vocabulary]
    settings: tuple[str, ...]
    others: dict[str, Any]


_KINDS = {
    "wordpiece": _Kind(
        "electra_tf.text.wordpiece",
        "WordPiece",
        Vocabulary,
        ("lower_case", "strip_accents"),
        {"tokenize_chinese_chars": True, "never_split": [], "added_tokens": []},
    ),
    # What decides the ids of these lies in their files alone.
    "sentencepiece": _Kind(
        "electra_tf.text.sentence_piece", "SentencePiece", PieceVocabulary, (), {}
    ),
    "byte_level_bpe": _Kind("electra_tf.text.byte_pairs", "BytePairs", BytePairVocabulary, (), {}),
}
# What `config.data.tokenizer` may be.
NAMES = tuple(_KINDS)
# Names of the files of all tokenizers.
ALL_FILES = tuple(sorted({name for kind in _KINDS.values() for name in kind.vocabulary.FILES}))


def settings_of(config: TokenizerConfig) -> dict[str, Any]:
    """The settings of the tokenizer that a config's section `data` describes."""
    kind = _kind({"name": config.tokenizer})
    settings = {name: getattr(config, name) for name in kind.settings}
    for name, default in kind.others.items():
        value = getattr(config, name)
        if isinstance(default, list):
            value = _tokens(value, f"config.data.{name}")
        if value != default:
            settings[name] = value
    return {"name": config.tokenizer, **settings}


def taken(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The settings of a tokenizer, of those that any of them has.

    Raises:
        UserError: there is no such tokenizer, or one that it does not take has been changed.
    """
    kind, usual = _kind({"name": name}), TokenizerConfig()
    settings = {"name": name}
    for setting, value in asked.items():
        if setting in kind.settings or setting in kind.others:
            settings[setting] = value
        elif value and value != getattr(usual, setting) or value is False:
            raise UserError(
                f"{setting} must be left out for the tokenizer {name}: "
                f"{', '.join(kind.vocabulary.FILES)} decides it. Received: {setting}={value!r}"
            )
    return settings


def put(settings: dict[str, Any], config: TokenizerConfig) -> None:
    """Makes a config's section `data` describe the tokenizer of a data set.

    Raises:
        UserError: there is no such tokenizer, it has no such setting, or the config has been given
            another value.
    """
    settings = {"name": "wordpiece"} | settings  # older data sets, which knew no other, lack it
    kind = _kind(settings)
    names = ("name", *kind.settings)
    for name, value in (kind.others | settings).items():
        if name not in names and name not in kind.others:
            raise UserError(
                f"The settings of the tokenizer {settings['name']} must be among "
                f"{', '.join(names)}. Received: {name}={value!r}, which is none of "
                f"{', '.join(kind.others)} either"
            )
        field = "tokenizer" if name == "name" else name
        default = getattr(TokenizerConfig(), field)
        if isinstance(kind.others.get(name), list):
            value = json.dumps(value, ensure_ascii=False) if value else ""
        elif type(value) is not type(default):
            raise UserError(
                f"The setting {name} of a tokenizer must be a {type(default).__name__}. "
                f"Received: {value!r}"
            )
        given = getattr(config, field)
        if given not in (value, default):
            raise UserError(
                f"config.data.{field} must be that of the data set, {value!r}. Received: {given!r}"
            )
        setattr(config, field, value)


def build(vocabulary: Vocabulary, settings: dict[str, Any]) -> "Tokenizer":
    """The tokenizer of a vocabulary; raises UserError for settings that are none."""
    kind = _kind(settings)
    tokenizer = getattr(importlib.import_module(kind.module), kind.tokenizer)
    others = {name: settings[name] for name in kind.others if name in settings}
    return tokenizer(vocabulary, **{name: settings[name] for name in kind.settings}, **others)


def load(path: str | os.PathLike, settings: dict[str, Any]) -> "Tokenizer":
    """The tokenizer whose files lie at `path`, see `read_vocabulary`."""
    return build(read_vocabulary(path, settings), settings)


def read_vocabulary(path: str | os.PathLike, settings: dict[str, Any]) -> Vocabulary:
    """Reads a tokenizer's vocabulary.

    Args:
        path: the directory of its files, or the file itself where it has only one.
        settings: only the name is looked at.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    kind = _kind(settings).vocabulary
    if len(kind.FILES) == 1 and file_systems.is_dir(path):
        path = os.path.join(path, kind.FILES[0])
    return kind.from_file(path)


def file_names(settings: dict[str, Any]) -> tuple[str, ...]:
    """Names of a tokenizer's files in a directory."""
    return _kind(settings).vocabulary.FILES


def find(settings: dict[str, Any], *directories: str) -> str | None:
    """Where a tokenizer's files lie: in the first of these directories that has all, or None.

    Returns:
        The file where it has only one, else the directory.
    """
    names = file_names(settings)
    for directory in directories:
        paths = [os.path.join(directory, name) for name in names]
        if all(map(file_systems.exists, paths)):
            return paths[0] if len(paths) == 1 else directory
    return None


def paths(path: str | os.PathLike, settings: dict[str, Any]) -> dict[str, str]:
    """A tokenizer's files at `path`, see `read_vocabulary`: their paths by their names."""
    names = file_names(settings)
    if len(names) == 1 and not file_systems.is_dir(path):
        return {names[0]: os.fspath(path)}
    return {name: os.path.join(path, name) for name in names}


def of_directory(directory: str, config: TokenizerConfig) -> Vocabulary | None:
    """The vocabulary in the directory of a run or model; None where it has none.

    Args:
        directory: with config.json.
        config: its section `data`.

    Raises:
        UserError: the vocabulary is another one than when config.json was written.
    """
    settings = settings_of(config)
    path = find(settings, directory)
    if path is None:
        return None
    vocabulary = read_vocabulary(path, settings)
    require_same(
        config.tokenizer_fingerprint,
        vocabulary.fingerprint(settings),
        f"A model must keep the vocabulary and the tokenizer settings of its training. Received: "
        f"{path} ({len(vocabulary)} tokens), which was changed since; restore it",
    )
    return vocabulary


def fingerprint_of(directory: str, config: TokenizerConfig) -> str | None:
    """The fingerprint of what `of_directory` reads; None where there is nothing."""
    vocabulary = of_directory(directory, config)
    return None if vocabulary is None else vocabulary.fingerprint(settings_of(config))


def require_same(expected: str | None, received: str | None, message: str) -> None:
    """Raises UserError with this message if two fingerprints are known and differ.

    This decides for every two that meet: a data set, a run, a model, a bundle. What was written
    before there were fingerprints has none.
    """
    if expected and received and expected != received:
        raise UserError(f"{message} (fingerprint {received}, not {expected})")


def copy(path: str | os.PathLike, directory: str, settings: dict[str, Any]) -> None:
    """Copies a tokenizer's files as they are, each complete or not at all."""
    for name, source in paths(path, settings).items():
        with new_file(os.path.join(directory, name)) as temporary:
            file_systems.copy_file(source, temporary)


def digest(path: str | os.PathLike, settings: dict[str, Any]) -> str:
    """SHA-256 of a tokenizer's files, one after the other."""
    result = hashlib.sha256()
    for source in paths(path, settings).values():
        result.update(file_systems.read_bytes(source))
    return result.hexdigest()


def _tokens(text: str, field: str) -> list[str]:
    """The tokens of a JSON list in a config; none in an empty text."""
    try:
        tokens = json.loads(text) if text else []
    except (TypeError, ValueError, RecursionError):
        tokens = None
    if not (isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)):
        raise UserError(f"{field} must be a JSON list of tokens. Received: {text!r:.80}")
    return tokens


def _kind(settings: dict[str, Any]) -> _Kind:
    name = settings["name"]
    if name not in NAMES:
        raise UserError(f"The tokenizer must be one of {', '.join(_KINDS)}. Received: {name!r}")
    return _KINDS[name]
