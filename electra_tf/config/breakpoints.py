"""A number that changes over a run, as a text: `[[0, 0.3], [50000, 0.15]]`.

Each pair is a step and the value there, linear between them, constant before and after.
"""

import json
from collections.abc import Callable
from typing import Any

from electra_tf.config.checks import between
from electra_tf.errors import UserError

LARGEST = 1_000_000_000  # step or value
Breakpoints = tuple[tuple[int, float], ...]


def read(text: str, name: str = "") -> Breakpoints:
    """The pairs of (step, value) of a text; none of an empty one.

    Args:
        text: JSON.
        name: of the field, for messages.

    Raises:
        UserError: they are no pairs, or their steps do not rise from 0 up.
    """
    what = "a step and a value as JSON, such as [[0, 0.3], [50000, 0.15]]"
    pairs = read_pairs(text, name, what, _is_pair)
    if not pairs:
        return ()
    steps = [step for step, _ in pairs]
    if steps[0] < 0 or sorted(set(steps)) != steps:
        raise UserError(f"The steps of {name} must rise from 0 or more. Received: {text!r:.80}")
    return tuple((step, float(value)) for step, value in pairs)


def read_pairs(
    text: str, name: str, what: str, is_pair: Callable[[Any], bool]
) -> list[tuple[int, Any]]:
    """The pairs of a text, of whatever they are; none of an empty one.

    Args:
        text: JSON.
        name: of the field, for messages.
        what: a pair is of, with an example, for messages.
        is_pair: whether an element is one.

    Raises:
        UserError: they are no pairs.
    """
    if not text:
        return []
    try:
        pairs = json.loads(text)
    except (ValueError, RecursionError):
        pairs = None
    if not (isinstance(pairs, list) and pairs and all(map(is_pair, pairs))):
        raise UserError(f"{name} must be pairs of {what}. Received: {text!r:.80}")
    return [(first, second) for first, second in pairs]


def check(
    name: str, text: str, low: float, high: float, closed: tuple[bool, bool] = (True, True)
) -> None:
    """Raises UserError unless the text can be read and its values lie from `low` to `high`."""
    for _, value in read(text, name):
        between(f"Every value of {name}", value, low, high, closed)


def _is_pair(pair) -> bool:
    if not (isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int):
        return False
    return type(pair[1]) in (int, float) and pair[0] <= LARGEST and abs(pair[1]) <= LARGEST
