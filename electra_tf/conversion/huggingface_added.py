"""Tokens that Hugging Face's tokenizers find in a text before they split it into words."""

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.text.vocabulary import SPECIAL_TOKENS

_FILE, _MAP = "added_tokens.json", "special_tokens_map.json"
_LISTS = ("additional_special_tokens", "extra_special_tokens")


class AddedToken(NamedTuple):
    """A token.

    Attributes:
        id: infinite where no file says.
        is_folded: whether it is found in the text as it is folded, not as it is written.
    """

    id: float
    is_folded: bool


def read(
    directory: str, settings: dict, fast: dict, base: tuple[str, ...], say: Callable[[str], None]
) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """The tokens of all the files that may hold some.

    Args:
        directory: of the model.
        settings, fast: content of tokenizer_config.json and of tokenizer.json.
        base: the vocabulary without them.
        say: receives what the user should know.

    Returns:
        Those that follow the vocabulary, and the settings `never_split` and `added_tokens`, where
        they hold any.

    Raises:
        UserError: one that `text.whole_tokens` cannot hold, or whose id is not its own.
    """
    found = _found(directory, settings, fast)
    ids = {token: number for number, token in enumerate(base)}
    appended = sorted(
        (token for token in found if token not in ids), key=lambda token: found[token].id
    )
    ids |= {token: number for number, token in enumerate(appended, len(base))}
    for token, (number, _) in found.items():
        if number not in (math.inf, ids[token]):
            raise UserError(
                f"The id of an added token must be its place in the vocabulary or follow it, here "
                f"{ids[token]}. Received: {number} for {token!r} in {directory}"
            )
    if appended:
        say(f"{directory}: {', '.join(appended)} follow the vocabulary, from id {len(base)} on")
    own = [token for token in sorted(found, key=ids.__getitem__) if token not in SPECIAL_TOKENS]
    written = [token for token in own if not found[token].is_folded]
    folded = [token for token in own if found[token].is_folded]
    kept = [token for token in _never_split(settings, directory) if token not in own]
    for token in kept:
        if token not in ids:
            raise UserError(
                "never_split must hold tokens of the vocabulary. "
                f"Received: {token!r} in {directory}"
            )
    if kept:
        say(
            f"{directory}: {', '.join(kept)} of never_split come out whole; transformers' fast "
            "tokenizer does not heed it."
        )
    lists = {"never_split": written + kept, "added_tokens": folded}
    return tuple(appended), {name: tokens for name, tokens in lists.items() if tokens}


def _found(directory: str, settings: dict, fast: dict) -> dict[str, AddedToken]:
    """Added tokens by what they are, special ones among them; see `_from_pretrained` there."""
    found: dict[str, AddedToken] = {}
    for place, entry in _entries(settings, fast, directory):
        token, number = entry.get("content"), entry.get("id")
        if not (isinstance(token, str) and token and isinstance(number, int)):
            raise UserError(
                f"An added token must have its content and its id. Received: {entry!r:.120} in "
                f"{place}"
            )
        if entry.get("single_word"):
            raise UserError(
                f"An added token must have single_word=false: ours is found inside of words, too. "
                f"Received: {token!r} in {place}"
            )
        is_special = bool(entry.get("special"))
        found[token] = AddedToken(number, bool(entry.get("normalized", not is_special)))
    sources = [settings]
    path = os.path.join(directory, _MAP)
    if "added_tokens_decoder" not in settings and os.path.exists(path):
        sources.append(read_json(path))
    special = [token for source in sources for token in _special(source, directory)]
    path = os.path.join(directory, _FILE)
    if "added_tokens_decoder" not in settings and os.path.exists(path):
        for token, number in read_json(path).items():
            if type(number) is not int:
                raise UserError(
                    f"{_FILE} must hold ids by tokens. Received: {number!r:.60} for {token!r} in "
                    f"{path}"
                )
            found.setdefault(token, AddedToken(number, token not in special))
    for token in special:
        found.setdefault(token, AddedToken(math.inf, is_folded=False))
    return found


def _entries(settings: dict, fast: dict, directory: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Descriptions of tokens with the files that they stand in; later ones rule."""
    listed, decoder = fast.get("added_tokens") or [], settings.get("added_tokens_decoder") or {}
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise UserError(f"added_tokens must be a list of objects. Received: {directory}")
    for entry in listed:
        yield f"{directory}/tokenizer.json", entry
    if not isinstance(decoder, dict) or not all(
        isinstance(each, dict) and number.isdecimal() for number, each in decoder.items()
    ):
        raise UserError(
            f"added_tokens_decoder must hold objects by their ids. Received: {directory}"
        )
    for number, entry in decoder.items():
        yield f"{directory}/tokenizer_config.json", entry | {"id": int(number)}


def _special(source: dict, directory: str) -> Iterator[str]:
    """Tokens that are special by their place in a file."""
    values = [source[name] for name in source if name.endswith("_token")]
    for name in _LISTS:
        several = source.get(name) or []
        values += several.values() if isinstance(several, dict) else several
    for value in values:
        token = value.get("content") if isinstance(value, dict) else value
        if token is None or isinstance(token, bool):  # such as add_bos_token
            continue
        if not isinstance(token, str):
            raise UserError(
                f"A special token must be a string. Received: {token!r:.60} in {directory}"
            )
        if token:
            yield token


def _never_split(settings: dict, directory: str) -> list[str]:
    tokens = settings.get("never_split") or []
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise UserError(
            f"never_split must be a list of tokens. Received: {tokens!r:.60} in {directory}"
        )
    return [token for token in dict.fromkeys(tokens) if token not in SPECIAL_TOKENS]
