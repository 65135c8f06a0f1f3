"""Texts with their labels as sentence tasks hold them, and how files become such."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
from absl import logging

from electra_tf.tasks import tables

SEPARATOR = "|"  # between several labels in one field of a TSV or CSV file


@dataclasses.dataclass
class Sentences:
    """Texts of a split, with or without their labels.

    Attributes:
        ids: what prediction files call the examples.
        texts: first texts.
        pairs: second texts; None in a task with one text.
        labels: by the task's kind int32 [N] classes, int32 [N, C] with 1 where a label applies,
            or float32 [N] numbers as in the file; None without labels.
    """

    ids: list[str | int]
    texts: list[str]
    pairs: list[str] | None = None
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.texts)


class Gathering:
    """Gathers the examples of one file and tells what was odd about them.

    Args:
        path: of the file, for messages.
        num_texts: 1, or 2 for pairs.
        kind: of the task that the labels are for; None if there are none.
        labels: names of the labels, in the order of their numbers.
    """

    def __init__(self, path: str, num_texts: int, kind: str | None = None,
                 labels: tuple[str, ...] = ()):
        self._path, self._kind = path, kind
        self._ids: list[str | int] = []
        self._texts: tuple[list[str], ...] = tuple([] for _ in range(num_texts))
        self._labels: list = []
        self._numbers = {label: number for number, label in enumerate(labels)}
        self._empty = self._first_empty = 0

    def add(self, line: int, identity: str | int | None, texts: tuple[str, ...],
            label: Any = None) -> None:
        """One more example.

        Args:
            line: of the file.
            identity: None for the number of the example, from 0.
            texts: one or two.
            label: as in the file; see `parse_label`.

        Raises:
            ValueError: an unknown label.
        """
        self._ids.append(len(self._ids) if identity is None else identity)
        for column, text in zip(self._texts, texts):
            column.append(text)
        if not all(text.strip() for text in texts):
            self._empty += 1
            self._first_empty = self._first_empty or line
        if self._kind is not None:
            self._labels.append(self._encoded(label, tables.at(self._path, line)))

    def examples(self) -> Sentences:
        """All of them, with a warning if some have an empty text.

        Raises:
            ValueError: there is none.
        """
        if not self._ids:
            raise ValueError(f"A file must have at least one example. Received: {self._path}")
        if self._empty:
            logging.warning("%s: %d examples have an empty text, the first in line %d",
                            self._path, self._empty, self._first_empty)
        labels = None
        if self._kind is not None:
            labels = np.array(self._labels,
                              np.float32 if self._kind == "regression" else np.int32)
        return Sentences(self._ids, self._texts[0],
                         self._texts[1] if len(self._texts) == 2 else None, labels)

    def _encoded(self, value: Any, place: str):
        label = parse_label(self._kind, value, place)
        if self._kind == "regression":
            return label
        if self._kind == "classification":
            return self._number(label, place)
        row = np.zeros(len(self._numbers), np.int32)
        row[[self._number(name, place) for name in label]] = 1
        return row

    def _number(self, label: str, place: str) -> int:
        if label not in self._numbers:
            raise ValueError(f"A label must be one of {', '.join(self._numbers)}. "
                             f"Received: {label!r} in {place}")
        return self._numbers[label]


def read_table(path: str, gathering: Gathering, text_fields: tuple[str, ...], id_field: str = "",
               label_field: str = "") -> Sentences:
    """Examples of a .tsv, .csv or .jsonl file.

    Args:
        path: the file.
        gathering: a new one for the file.
        text_fields: the field of the text, or of both texts.
        id_field: what examples are called; empty: their numbers, from 0.
        label_field: empty: labels are not read.

    Raises:
        ValueError: a missing field, a text that is none, an unknown label, an id that occurs
            twice, or no example.
    """
    extra = [field for field in (id_field, label_field) if field]
    seen: dict[str | int, int] = {}
    for line, values in tables.rows(path, [*text_fields, *extra]):
        place = tables.at(path, line)
        texts, rest = values[:len(text_fields)], values[len(text_fields):]
        identity = None
        if id_field:
            identity = rest[0]
            if not isinstance(identity, str | int):
                raise ValueError(f"An id must be a string or a whole number. Received: "
                                 f"{json.dumps(identity)[:60]} in {place}")
            first = seen.setdefault(identity, line)
            if first != line:
                raise ValueError(f"Ids must be unique. Received: {identity!r} in {path}, lines "
                                 f"{first} and {line}")
        gathering.add(line, identity, tuple(_text(text, place) for text in texts),
                      rest[-1] if label_field else None)
    return gathering.examples()


def parse_label(kind: str, value: Any, place: str) -> str | list[str] | float:
    """A label as a file has it: a name, several names or a number, by the task's kind.

    Names are strings; a number or a truth value of a JSONL file is called what it is written
    like. Several are a list in JSONL and joined by `|` in TSV and CSV, where an empty field has
    none.

    Raises:
        ValueError: it is something else.
    """
    if kind == "regression":
        return _number(value, place)
    if kind == "classification":
        return _name(value, place)
    if isinstance(value, str):
        value = value.split(SEPARATOR) if value else []
    if not isinstance(value, list):
        raise ValueError(f"Several labels must be a list. Received: {json.dumps(value)[:60]} in "
                         f"{place}")
    return [_name(name, place) for name in value]


def _number(value: Any, place: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"A label must be a number. Received: {value!r} in {place}")
    return number


def _name(value: Any, place: str) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str) or not value:
        raise ValueError(f"A label must be a name and not empty. Received: "
                         f"{json.dumps(value)[:60]} in {place}")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"A text must be a string. Received: {json.dumps(value)[:60]} in {place}")
    return value
