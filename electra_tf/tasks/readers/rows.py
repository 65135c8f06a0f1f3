"""Rows that come from Python in place of a file; every error names the row as `rows[N]`."""

from collections.abc import Iterable, Mapping
from typing import Any

from electra_tf.errors import UserError

SOURCE = "rows"  # in place of a file's path, in messages


def at(number: int) -> str:
    """How messages call a row, counted from 0."""
    return f"{SOURCE}[{number}]"


def checked(rows: Iterable[Any]) -> list[Any]:
    """The rows as a list; raises UserError if they are a single one, or none."""
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise UserError(f"The rows must be a list of rows. Received: {shown(rows)}")
    rows = list(rows)
    if not rows:
        raise UserError("There must be at least one row. Received: none")
    return rows


def shown(row: Any) -> str:
    """The beginning of a row, for messages."""
    text = repr(row)
    return text if len(text) <= 60 else text[:60] + "…"
