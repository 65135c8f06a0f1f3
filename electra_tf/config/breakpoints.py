"""A number that changes over a run, as a text: `[[0, 0.3], [50000, 0.15]]`.

Each pair is a step and the value there, linear between them, constant before and after.
"""

import json

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
    if not text:
        return ()
    try:
        pairs = json.loads(text)
    except (ValueError, RecursionError):
        pairs = None
    if not (isinstance(pairs, list) and pairs and all(map(_is_pair, pairs))):
        raise UserError(
            f"{name} must be pairs of a step and a value as JSON, such as [[0, 0.3], [50000, "
            f"0.15]]. Received: {text!r:.80}"
        )
    steps = [step for step, _ in pairs]
    if steps[0] < 0 or sorted(set(steps)) != steps:
        raise UserError(f"The steps of {name} must rise from 0 or more. Received: {text!r:.80}")
    return tuple((step, float(value)) for step, value in pairs)


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
