"""Data sets that are read together, as a text: `{"shards/wiki": 3, "shards/novels": 1}`.

A directory's weight is its share of the training examples.
"""

import fractions
import json
import math

from electra_tf import file_systems
from electra_tf.errors import UserError
from electra_tf.files import expand

SMALLEST, LARGEST = 1e-6, 1e6  # weight
LONGEST = 1_000_000  # period: the sum of the weights as whole numbers


def read(text: str, name: str) -> dict[str, int]:
    """The directories of a text with their weights, as the smallest whole numbers in proportion.

    Args:
        text: JSON; an empty one gives nothing.
        name: of the field, for messages.

    Raises:
        UserError: it is not such a text, names a directory twice, or a weight is out of range.
    """
    if not text:
        return {}
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (TypeError, ValueError, RecursionError):
        pairs = None
    if not (isinstance(pairs, list) and pairs and all(map(_is_pair, pairs))):
        raise UserError(
            f"{name} must be directories with their weights, numbers from {SMALLEST:g} to "
            f'{LARGEST:,.0f}, as JSON, such as {{"shards/wiki": 3, "shards/novels": 1}}. '
            f"Received: {text!r:.200}"
        )
    found: dict[str, str] = {}
    for directory, _ in pairs:
        real = file_systems.real(expand(directory))
        if real in found:
            raise UserError(
                f"{name} must name each directory once. Received: {found[real]} and {directory}"
            )
        found[real] = directory
    parts = [fractions.Fraction(str(weight)) for _, weight in pairs]
    scale = fractions.Fraction(
        math.lcm(*(part.denominator for part in parts)),
        math.gcd(*(part.numerator for part in parts)),
    )
    weights = [int(part * scale) for part in parts]
    if sum(weights) > LONGEST:
        raise UserError(
            f"The weights of {name}, as whole numbers, must have a sum of at most {LONGEST:,}; "
            f"round them. Received: {sum(weights):,} for {text!r:.200}"
        )
    return {expand(directory): weight for (directory, _), weight in zip(pairs, weights)}


def _is_pair(pair) -> bool:
    if not (isinstance(pair, tuple) and len(pair) == 2 and pair[0] and "\0" not in pair[0]):
        return False
    return type(pair[1]) in (int, float) and SMALLEST <= pair[1] <= LARGEST
