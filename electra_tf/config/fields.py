"""Fields of a config: what each may be is declared beside it, and held to in one place.

    hidden_dropout: float = number(0.1, 0, 1, "[)")
    sharing: str = choice("embeddings", SHARING)

`Fields.check_fields` does so, of a whole config with all its sections.
"""

import dataclasses
import difflib
import numbers
from collections.abc import Collection
from typing import Any

from electra_tf.config import checks
from electra_tf.errors import UserError

_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


def number(default: float, low: float, high: float, ends: str = "[]") -> Any:
    """A field of a dataclass that must lie from `low` to `high`; without them at round `ends`."""
    closed = ends[0] == "[", ends[1] == "]"
    return dataclasses.field(default=default, metadata={"range": (low, high, closed)})


def choice(default: str, allowed: Collection[str]) -> Any:
    """A field of a dataclass that must be one of some words."""
    return dataclasses.field(default=default, metadata={"allowed": allowed})


@dataclasses.dataclass
class Fields:
    """Base of the dataclasses of a config: they have their fields and no other attributes."""

    def __setattr__(self, name: str, value: Any) -> None:
        known = [field.name for field in dataclasses.fields(self)]
        if name not in known:
            raise UserError(unknown(f"A field of {type(self).__name__}", name, known))
        super().__setattr__(name, value)

    def check_fields(self, name: str = "config") -> None:
        """Raises UserError for a field of another type, or outside of what it may be.

        Numbers of NumPy become Python's, which JSON can hold.

        Args:
            name: of this object, before the fields' own.
        """
        for field in dataclasses.fields(self):
            full, value = f"{name}.{field.name}", getattr(self, field.name)
            kind: Any = field.type
            if issubclass(kind, Fields):
                if not isinstance(value, kind):
                    raise UserError(f"{full} must be a {kind.__name__}. Received: {value!r:.60}")
                value.check_fields(full)
                continue
            if not _is_of(value, kind):
                raise UserError(f"{full} must be {kind_name(kind)}. Received: {value!r:.60}")
            if isinstance(value, numbers.Number) and type(value) not in (bool, int, float):
                setattr(self, field.name, kind(value))
            if "range" in field.metadata:
                _check_range(full, value, kind, *field.metadata["range"])
            if "allowed" in field.metadata:
                checks.one_of(full, value, field.metadata["allowed"])


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """The message for a name that is none of those known; tells the closest one, or all."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{what} must be one that electra_tf knows. Received: {name}, unknown; {hint}"


def kind_name(kind: type) -> str:
    """What values of a field's type are called."""
    return _KINDS[kind]


def _is_of(value, kind):
    """Whether a value is of a field's type: whole numbers are numbers, truth values are not."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, {int: numbers.Integral, float: numbers.Real}.get(kind, kind))


def _check_range(name, value, kind, low, high, closed):
    if kind is float:
        checks.between(name, value, low, high, closed)
    else:
        checks.at_least(name, value, low)
        checks.at_most(name, value, high)
