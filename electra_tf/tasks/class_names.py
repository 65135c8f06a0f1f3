"""Names of labels and tags as files write them, and when two of them are probably one."""

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from electra_tf.errors import UserError
from electra_tf.tasks.readers import json_text

_NUMBER = re.compile(r"\+?(-?)0*(\d+?)(?:\.(\d*?)0*)?", re.ASCII)
_TRUTHS = {"true": "1", "false": "0"}
_LONGEST_NUMBER = 40  # as a name
_MOST = 20  # named in a message
_TYPES = {bool: "truth value", int: "number", float: "number", str: "string", list: "list"}


def short(name: str) -> str:
    """A name for a message, without most of a text that is none."""
    return name if len(name) <= 60 else name[:60] + "…"


def listed(names: Iterable[str]) -> str:
    """Names for a message, without most of many."""
    names = list(names)
    more = len(names) - _MOST
    return ", ".join(map(short, names[:_MOST])) + (f" and {more} more" if more > 0 else "")


@functools.lru_cache(maxsize=4096)  # of every example's label
def key_of(name: str) -> str:
    """What is left of a name without blanks, case and the form of a number or truth value."""
    visible = (
        character
        for character in unicodedata.normalize("NFC", name)
        if not character.isspace() and unicodedata.category(character) != "Cf"
    )
    key = "".join(visible).casefold()
    number = len(key) <= _LONGEST_NUMBER and _NUMBER.fullmatch(key)
    if number:
        sign, whole, fraction = number.groups()
        return sign + whole + (f".{fraction}" if fraction else "")
    return _TRUTHS.get(key, key)


def require_distinct(lines: Mapping[str, int], what: str, path: str) -> None:
    """Raises UserError where two names of a training file have the same `key_of`, or one is NaN.

    Args:
        lines: by each name the line where it occurs first.
        what: they name, such as "Labels".
        path: of the file.
    """
    first_of: dict[str, str] = {}
    for name, line in lines.items():
        if key_of(name) == "nan":
            raise UserError(
                f"{what} must be names, which NaN is only if config.task.labels lists it. "
                f"Received: {name!r} in {path}, line {line}"
            )
        first = first_of.setdefault(key_of(name), name)
        if first != name:
            names = f"{short(first)!r} and {short(name)!r}"
            raise UserError(
                f"{what} must differ in more than blanks, case or the form of a number, unless "
                f"config.task.labels lists them. Received: {names} in {path}, "
                f"lines {lines[first]} and {line}"
            )


class OneType:
    """That the labels of one file have one type of JSON's.

    Args:
        path: of the file.
    """

    def __init__(self, path: str):
        self._path = path
        self._type, self._line = "", 0

    def require(self, value: Any, line: int) -> None:
        """Raises UserError if a label is of another type than those before; of a list its items."""
        kind = _TYPES.get(type(value), "")
        if kind == "list":
            for item in value:
                self.require(item, line)
        elif kind and self._type not in ("", kind):
            raise UserError(
                f"The labels of a file must be of one type. Received: a {self._type} and a "
                f"{kind}, {json_text.shown(value)}, in {self._path}, lines {self._line} and {line}"
            )
        elif kind and not self._type:
            self._type, self._line = kind, line
