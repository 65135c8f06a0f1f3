"""Local files of tasks: lines, and rows of TSV, CSV and JSONL files by the names of their fields.

Every file is UTF-8, with or without a byte-order mark, plain or with .gz; every error names the
file and the line.
"""

import csv
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

EXTENSIONS = (".tsv", ".csv", ".jsonl")


class Row(NamedTuple):
    """The wanted fields of one row.

    Attributes:
        line: number of its first line, from 1.
        values: in the order asked for; of TSV and CSV strings, of JSONL any JSON value.
    """

    line: int
    values: tuple[Any, ...]


def at(path: str, line: int) -> str:
    """How messages call a place in a file."""
    return f"{path}, line {line}"


def find(directory: str, names: Iterable[str]) -> str | None:
    """Path of the first of `names` that exists, as it is or with .gz added; None if none does."""
    for name in names:
        path = os.path.join(directory, name)
        for candidate in (path, path + ".gz"):
            if os.path.isfile(candidate):
                return candidate
    return None


def require(directory: str, names: Iterable[str], what: str) -> str:
    """As `find`, but raises ValueError if there is none; `what` says what it should have been."""
    names = list(names)
    path = find(directory, names)
    if path is None:
        raise ValueError(f"{what} must be one of {', '.join(names)} (or the same with .gz). "
                         f"Received: {directory or os.getcwd()}, which has none of them")
    return path


def lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and text of a file's lines, with their line ends.

    Only a line feed ends a line: other marks that Unicode calls line ends occur within texts.

    Raises:
        ValueError: the file cannot be read to its end or is not UTF-8.
    """
    number = 0
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"A file must be UTF-8 text. Received: {at(path, number)}, with the byte "
                         f"0x{error.object[error.start]:02x} at {error.start}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"A file must be readable to its end. Received: {path} ({error})"
                         ) from None


def tab_separated(path: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of every line, cut at tabs alone: a quote is a character."""
    for number, line in lines(path):
        yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def rows(path: str, fields: Iterable[str]) -> Iterator[Row]:
    """Rows of a .tsv, .csv or .jsonl file, each also with .gz.

    TSV and CSV begin with a line of column names. TSV knows no quotes; CSV does, and a quoted
    field may hold line ends. JSONL has one object per line. Blank lines are left out, except
    where there is one column only, in which a blank line is an empty field.

    Args:
        path: the file; its name says the format.
        fields: names of the wanted columns or fields.

    Raises:
        ValueError: an unknown format, a missing field, a row of another length than the header,
            or a damaged file.
    """
    fields = tuple(fields)
    extension = os.path.splitext(path.removesuffix(".gz"))[1]
    if extension == ".jsonl":
        yield from _json_rows(path, fields)
        return
    if extension not in EXTENSIONS:
        raise ValueError(f"A file must be {', '.join(EXTENSIONS)}, plain or with .gz. "
                         f"Received: {path}")
    records = tab_separated(path) if extension == ".tsv" else _comma_separated(path)
    header = next(records, (1, []))[1]
    wanted = [_column(header, field, path) for field in fields]
    for line, record in records:
        if not any(record) and len(header) > 1 and len(record) <= 1:
            continue
        record = record or [""]  # what the csv module makes of a blank line
        if len(record) != len(header):
            raise ValueError(f"A row must have as many fields as the header, {len(header)}. "
                             f"Received: {len(record)} in {at(path, line)}")
        yield Row(line, tuple(record[index] for index in wanted))


def _column(header: list[str], field: str, path: str) -> int:
    if header.count(field) != 1:
        raise ValueError(f"A header must have the column {field!r} once. Received: {path} with "
                         f"the columns {', '.join(map(repr, header))}")
    return header.index(field)


def _comma_separated(path: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((text for _, text in lines(path)), strict=True)
    first = 1
    try:
        for record in reader:
            yield first, record
            first = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"A .csv file must be well-formed. Received: {at(path, first)} ({error})"
                         ) from None


def _json_rows(path: str, fields: tuple[str, ...]) -> Iterator[Row]:
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if "\\ud" in line.lower():
                # A JSON string can hold half of a surrogate pair, which UTF-8 cannot.
                whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")
                value = json.loads(whole)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"A .jsonl file must have one JSON object per line. Received: "
                             f"{at(path, number)} ({error})") from None
        if not isinstance(value, dict):
            raise ValueError(f"A .jsonl file must have one JSON object per line. Received: "
                             f"{line.strip()[:60]} in {at(path, number)}")
        missing = [field for field in fields if field not in value]
        if missing:
            raise ValueError(f"A row must have the field {missing[0]!r}. Received: "
                             f"{at(path, number)} with the fields "
                             f"{', '.join(map(repr, value))}")
        yield Row(number, tuple(value[field] for field in fields))
