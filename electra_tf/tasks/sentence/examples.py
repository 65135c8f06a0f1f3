"""Texts with their labels as sentence tasks hold them, and how files become such."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from absl import logging

from electra_tf.errors import UserError
from electra_tf.tasks.class_names import OneType
from electra_tf.tasks.readers import json_text, rows, tables


@dataclasses.dataclass
class Sentences:
    """Texts of a split, with or without their labels.

    Attributes:
        ids: what prediction files call the examples.
        texts: first texts.
        pairs: second texts; None in a task with one text.
        labels: by the task's `Output` int32 [N] classes, int32 [N, C] with 1 where a label
            applies, or float32 [N] numbers as in the file; None without labels.
        path: of the file.
        columns: what was read: by text, pair, label and id the name or number of its column.
        left_out: rows of the file that are no examples.
    """

    ids: list[str | int]
    texts: list[str]
    pairs: list[str] | None = None
    labels: np.ndarray | None = None
    path: str = dataclasses.field(default=rows.SOURCE, compare=False)
    columns: dict[str, str | int] = dataclasses.field(default_factory=dict, compare=False)
    left_out: int = dataclasses.field(default=0, compare=False)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def required_labels(self) -> np.ndarray:
        """Labels of a split that has them."""
        assert self.labels is not None, "the split has no labels"
        return self.labels


@dataclasses.dataclass
class SentencePredictions:
    """What a model says.

    Attributes:
        labels: as `Sentences.labels`.
        probabilities: float32 [N, C]; None in regression.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None


class Labels(Protocol):
    """How labels become numbers; see `Output`."""

    dtype: ClassVar[type]

    def parse(self, value: Any, place: str) -> Any: ...
    def encode(self, label: Any, place: str) -> Any: ...


class Gathering:
    """Gathers the examples of one file and tells what was odd about them.

    Args:
        path: of the file, for messages.
        num_texts: 1, or 2 for pairs.
        output: what the labels are for; None if there are none.
    """

    def __init__(self, path: str, num_texts: int, output: Labels | None = None):
        self._path, self._output = path, output
        self._label_type = OneType(path)
        self._ids: list[str | int] = []
        self._texts: tuple[list[str], ...] = tuple([] for _ in range(num_texts))
        self._labels: list = []
        self._empty = self._first_empty = 0

    def add(
        self, line: int, identity: str | int | None, texts: tuple[str, ...], label: Any = None
    ) -> None:
        """One more example.

        Args:
            line: of the file.
            identity: None for the number of the example, from 0.
            texts: one or two.
            label: as in the file.

        Raises:
            UserError: an unknown label, or one of another type than those before.
        """
        self._ids.append(len(self._ids) if identity is None else identity)
        for column, text in zip(self._texts, texts):
            column.append(text)
        if not all(text.strip() for text in texts):
            self._empty += 1
            self._first_empty = self._first_empty or line
        if self._output is not None:
            place = tables.at(self._path, line)
            parsed = self._output.parse(label, place)
            self._label_type.require(label, line)
            self._labels.append(self._output.encode(parsed, place))

    def examples(self, columns: Mapping[str, str | int], left_out: int = 0) -> Sentences:
        """All of them, with a warning if some have an empty text.

        Args:
            columns, left_out: see `Sentences`.

        Raises:
            UserError: there is none.
        """
        if not self._ids:
            raise UserError(f"A file must have at least one example. Received: {self._path}")
        if self._empty:
            logging.warning(
                "%s: %d examples have an empty text, the first in line %d",
                self._path,
                self._empty,
                self._first_empty,
            )
        labels = None
        if self._output is not None:
            labels = np.array(self._labels, self._output.dtype)
        return Sentences(
            self._ids,
            self._texts[0],
            self._texts[1] if len(self._texts) == 2 else None,
            labels,
            self._path,
            dict(columns),
            left_out,
        )


def read_table(
    path: str,
    gathering: Gathering,
    text_fields: tuple[str, ...],
    id_field: str = "",
    label_field: str = "",
) -> Sentences:
    """Examples of a .tsv, .csv or .jsonl file.

    Args:
        path: the file.
        gathering: a new one for the file.
        text_fields: the field of the text, or of both texts.
        id_field: what examples are called; empty: their numbers, from 0.
        label_field: empty: labels are not read.

    Raises:
        UserError: a missing field, a text that is none, an unknown label, an id that occurs
            twice, or no example.
    """
    extra = [field for field in (id_field, label_field) if field]
    seen: dict[str, int] = {}
    for line, values in tables.rows(path, [*text_fields, *extra]):
        place = tables.at(path, line)
        texts, rest = values[: len(text_fields)], values[len(text_fields) :]
        identity = None
        if id_field:
            identity = _identity(rest[0], place)
            first = seen.setdefault(str(identity), line)
            if first != line:
                raise UserError(
                    f"Ids must be unique. Received: {identity!r} in {path}, lines "
                    f"{first} and {line}"
                )
        gathering.add(
            line,
            identity,
            tuple(_text(text, place) for text in texts),
            rest[-1] if label_field else None,
        )
    names = dict(zip(("text", "pair"), text_fields)) | {"label": label_field, "id": id_field}
    return gathering.examples({what: name for what, name in names.items() if name})


def sentences_of_rows(
    given: Iterable[Any], text_fields: tuple[str, ...], id_field: str = ""
) -> Sentences:
    """Examples of rows from Python.

    Args:
        given: of each example a dict of its fields, or its text, or its pair of texts.
        text_fields: as of `read_table`.
        id_field: what dicts call the id; a row without one is called by its number, from 0.

    Raises:
        UserError: a row is something else.
    """
    texts = "a text" if len(text_fields) == 1 else "a pair of texts"
    rule = f"A row must be {texts} or a dict with the field{'s'[: len(text_fields) - 1]} " + (
        " and ".join(map(repr, text_fields))
    )
    ids, columns = [], [[] for _ in text_fields]
    for number, row in enumerate(rows.checked(given)):
        place, values, identity = rows.at(number), row, number
        if isinstance(row, Mapping):
            values = [row.get(field) for field in text_fields]
            identity = row.get(id_field, number)
        elif len(text_fields) == 1:
            values = [row]
        if (
            not isinstance(values, list | tuple)
            or len(values) != len(text_fields)
            or not all(isinstance(value, str) for value in values)
        ):
            raise UserError(f"{rule}. Received: {rows.shown(row)} as {place}")
        ids.append(_identity(identity, place))
        for column, value in zip(columns, values):
            column.append(value.encode(errors="ignore").decode())  # as of a file
    return Sentences(ids, columns[0], columns[1] if len(columns) > 1 else None)


def _identity(value: Any, place: str) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(
            f"An id must be a string or a whole number. Received: {json_text.shown(value)} in "
            f"{place}"
        )
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"A text must be a string. Received: {json_text.shown(value)} in {place}")
    return value
