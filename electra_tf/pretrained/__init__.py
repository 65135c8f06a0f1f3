"""Models that come with the package: `pretrained:NAME` stands for a model directory everywhere.

Each folder here is a model directory with its weights in float16, a card (README.md) that says what
it was trained on and what it reaches, and the figures of its training (training.json). They are
read as any model; outputs never lie in them.
"""

import difflib
import os

from electra_tf.errors import UserError

PREFIX = "pretrained:"
FOLDER = os.path.dirname(os.path.abspath(__file__))


def names() -> list[str]:
    """Of the models, in alphabetical order."""
    return sorted(
        entry.name
        for entry in os.scandir(FOLDER)
        if os.path.isfile(os.path.join(entry.path, "config.json"))
    )


def directory(name: str) -> str:
    """The model directory of `pretrained:NAME`.

    Raises:
        UserError: there is no such model; tells which there are.
    """
    own, known = name.removeprefix(PREFIX), names()
    if own not in known:
        near = difflib.get_close_matches(own, known, 1)
        raise UserError(
            f"A model of the package must be one of {', '.join(PREFIX + each for each in known)}. "
            f"Received: {name}" + (f"; did you mean {PREFIX}{near[0]}?" if near else "")
        )
    return os.path.join(FOLDER, own)
