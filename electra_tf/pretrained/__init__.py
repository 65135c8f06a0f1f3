"""Models that come with the package: `pretrained:NAME` stands for a model directory everywhere.

Each folder here is a model directory with its weights in float16, a card (README.md) that says what
it was trained on and what it reaches, and the figures of its training (training.json). They are
read as any model (`files.expand` knows the names); outputs never lie among them.
"""

import os

PREFIX = "pretrained:"
FOLDER = os.path.dirname(os.path.realpath(__file__))


def holds(path: str) -> bool:
    """Whether a path lies among these models."""
    return os.path.join(os.path.realpath(path), "").startswith(os.path.join(FOLDER, ""))


def directories() -> dict[str, str]:
    """Directories of the models by their names with the prefix, in alphabetical order."""
    return {
        PREFIX + entry.name: entry.path
        for entry in sorted(os.scandir(FOLDER), key=lambda entry: entry.name)
        if os.path.isfile(os.path.join(entry.path, "config.json"))
    }
