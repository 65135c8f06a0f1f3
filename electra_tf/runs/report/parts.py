"""What is read of a run's files, and what is told of those that are not there."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from electra_tf.config.json_config import JsonConfig
from electra_tf.errors import UserError, is_for_user, one_line
from electra_tf.train import log

_Part = TypeVar("_Part")
_WRITTEN_BY_RUNS = "config.data.tokenizer_fingerprint"


@dataclasses.dataclass(frozen=True)
class Missing:
    """Stands for a part that a run lacks.

    Attributes:
        reason: what is missing and how to get it, a line.
    """

    reason: str


def attempt(what: str, work: Callable[[], _Part]) -> _Part | Missing:
    """The result of some work; `Missing` with the message of what the user can mend."""
    try:
        return work()
    except Exception as error:
        if not is_for_user(error):
            raise
        return Missing(f"{what}: left out. {one_line(error)}")


def numbers_of(values: Mapping) -> dict[str, float]:
    """The finite numbers of a JSON object; NaN is written as null."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def read_metrics(directory: str) -> list[dict]:
    """The lines of `directory`/metrics.jsonl; none without the file.

    Raises:
        UserError: it is not as training writes it.
    """
    path = os.path.join(directory, "metrics.jsonl")
    try:
        lines = log.read(path)
        if not all(type(line["step"]) is int and type(line["split"]) is str for line in lines):
            raise ValueError("a step or split of another type")
    except (KeyError, TypeError, ValueError):
        raise UserError(
            'A metrics.jsonl must have {"step": …, "split": …} in each line, as training writes '
            f"it; remove the lines that differ. Received: {path}"
        ) from None
    return lines


def differences(config: JsonConfig) -> dict[str, tuple[object, object]]:
    """(default, value) of every field that has not its default, by its full name."""
    defaults = type(config)().flat()
    return {
        name: (defaults[name], value)
        for name, value in config.flat().items()
        if value != defaults[name] and name != _WRITTEN_BY_RUNS
    }
