"""JSON as the standard has it, without what Python's reader lets pass besides."""

import json
import math
import re
from typing import Any

_MAX_DIGITS = 300  # of a whole number: more are none that anything counts


def parsed(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, holds NaN, an infinity or a number beyond those of float64, has
            a field twice in one object, or is nested too deeply. The message is the reason alone.
    """
    try:
        return _DECODER.decode(text)
    except _BadNumber as error:
        found = re.search(rf'(?<![\w"]){re.escape(error.literal)}(?![\w"])', text)
        before = text[: found.start() if found else 0]
        raise ValueError(
            f"{error.literal[:60]} is no number of JSON: line {before.count(chr(10)) + 1} "
            f"column {len(before) - before.rfind(chr(10))}"
        ) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shown(value: Any) -> str:
    """The beginning of a value, for messages."""
    try:
        text = json.dumps(value, ensure_ascii=False, skipkeys=True, default=repr)
    except (RecursionError, ValueError):  # nested too deeply, or in itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + "…"


class _BadNumber(Exception):
    def __init__(self, literal: str):
        super().__init__(literal)
        self.literal = literal


def _no_constant(literal: str) -> Any:
    raise _BadNumber(literal)


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise _BadNumber(literal)
    return value


def _whole(literal: str) -> int:
    if len(literal) > _MAX_DIGITS:
        raise _BadNumber(literal)
    return int(literal)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the field {twice!r} occurs twice in an object")
    return value


_DECODER = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, parse_int=_whole, object_pairs_hook=_object
)
