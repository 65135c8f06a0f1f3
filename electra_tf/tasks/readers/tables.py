"""Local files of tasks: lines, and rows of TSV, CSV and JSONL files by the names of their fields.

Every file is UTF-8, with or without a byte-order mark, plain or with .gz; every error names the
file and the line.
"""

import contextlib
import csv
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from electra_tf import file_systems, first_bytes
from electra_tf.errors import UserError
from electra_tf.tasks.readers import json_text

EXTENSIONS = (".tsv", ".csv", ".jsonl")
# Of a line in bytes, of a CSV field in characters: bounds the memory that a file of another kind,
# or a quote that is never closed, can take.
MAX_LENGTH = 64 << 20
_SHOWN_COLUMNS = 20  # in messages


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
        path = file_systems.join(directory, name)
        for candidate in (path, path + ".gz"):
            if file_systems.is_file(candidate):
                return candidate
    return None


def require(directory: str, names: Iterable[str], what: str) -> str:
    """As `find`, but raises UserError if there is none; `what` says what it should have been."""
    names = list(names)
    path = find(directory, names)
    if path is None:
        raise UserError(
            f"{what} must be one of {', '.join(names)} (or the same with .gz). "
            f"Received: {directory or os.getcwd()}, which has none of them"
        )
    return path


def lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and text of a file's lines, with their line ends.

    Only a line feed ends a line: other marks that Unicode calls line ends occur within texts.

    Raises:
        UserError: the file cannot be read to its end, is not UTF-8, or has no lines: its first one
            is longer than MAX_LENGTH or holds a carriage return.
    """
    with _opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LENGTH), b""), start=1):
            if number == 1:
                first_bytes.require_text(line[: first_bytes.HEAD_BYTES], path)
                if b"\r" in line.rstrip(b"\r\n"):
                    raise UserError(
                        "Line feeds must end the lines of a file. Received: carriage returns in "
                        f"{at(path, number)}; tr '\\r' '\\n' converts them"
                    )
            if len(line) == MAX_LENGTH:
                raise UserError(
                    f"A line must be shorter than {MAX_LENGTH >> 20} MiB. "
                    f"Received: {at(path, number)}"
                )
            yield number, _decoded(line, path, number)


def whole_text(path: str) -> str:
    """All of a file's text; raises UserError if it cannot be read to its end or is not UTF-8."""
    with _opened(path) as file:
        content = file.read()
    first_bytes.require_text(content[: first_bytes.HEAD_BYTES], path)
    return _decoded(content, path)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO | gzip.GzipFile]:
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(file_systems.opened(path))
            if path.endswith(".gz"):
                file = stack.enter_context(gzip.open(file))
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"A file must be readable to its end. Received: {path} ({error})") from None


def _decoded(content: bytes, path: str, number: int = 1) -> str:
    """Text of a line, or of a whole file."""
    if b"\0" in content:
        number += content.count(b"\n", 0, content.index(b"\0"))
        raise UserError(
            f"A file must be UTF-8 text. Received: {at(path, number)}, with a NUL byte, as UTF-16 "
            "and spreadsheets have them"
        )
    try:
        return content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = content.rfind(b"\n", 0, error.start) + 1
        number += content.count(b"\n", 0, line)
        raise UserError(
            f"A file must be UTF-8 text. Received: {at(path, number)}, with the byte "
            f"0x{content[error.start]:02x} at {error.start - line}; if it is Latin-1, "
            "iconv -f LATIN1 -t UTF-8 converts it"
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
        UserError: an unknown format, a missing field, a row of another length than the header,
            or a damaged file.
    """
    fields = tuple(fields)
    extension = os.path.splitext(path.removesuffix(".gz"))[1]
    if extension == ".jsonl":
        yield from _json_rows(path, fields)
        return
    if extension not in EXTENSIONS:
        raise UserError(
            f"A file must be {', '.join(EXTENSIONS)}, plain or with .gz. Received: {path}"
        )
    records = tab_separated(path) if extension == ".tsv" else _comma_separated(path)
    header = next(records, (1, []))[1]
    wanted = [_column(header, field, path) for field in fields]
    for line, record in records:
        if not any(record) and len(header) > 1 and len(record) <= 1:
            continue
        record = record or [""]  # what the csv module makes of a blank line
        if len(record) != len(header):
            raise UserError(
                f"A row must have as many fields as the header, {len(header)}. "
                f"Received: {len(record)} in {at(path, line)}"
            )
        yield Row(line, tuple(record[index] for index in wanted))


def _column(header: list[str], field: str, path: str) -> int:
    if header.count(field) != 1:
        raise UserError(
            f"A header must have the column {field!r} once. Received: {path} with "
            f"the columns {listed(header)}"
        )
    return header.index(field)


def listed(names: Iterable[str]) -> str:
    """Names of columns or fields, for messages."""
    shown = [repr(name if len(name) <= 60 else name[:60] + "…") for name in names]
    more = len(shown) - _SHOWN_COLUMNS
    return (", ".join(shown[:_SHOWN_COLUMNS]) or "none") + (f" and {more} more" if more > 0 else "")


def _comma_separated(path: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(MAX_LENGTH, csv.field_size_limit()))  # of the whole process
    reader = csv.reader((text for _, text in lines(path)), strict=True)
    first = 1
    try:
        for record in reader:
            yield first, record
            first = reader.line_num + 1
    except csv.Error as error:
        reason = str(error)
        if reason == "unexpected end of data" or reason.startswith("field larger"):
            reason = "a quote is not closed"
        elif reason.startswith("new-line character"):
            reason = "a carriage return outside quotes"
        raise UserError(
            f"A .csv file must be well-formed. Received: {at(path, first)} ({reason})"
        ) from None


def json_objects(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of JSON lines; blank lines are left out.

    Raises:
        UserError: a line that is no JSON object, or a damaged file.
    """
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            value = json_text.parsed(line)
            if "\\ud" in line.lower():
                # A JSON string can hold half of a surrogate pair, which UTF-8 cannot.
                whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")
                value = json.loads(whole)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"A .jsonl file must have one JSON object per line. Received: "
                f"{at(path, number)} ({error})"
            ) from None
        if not isinstance(value, dict):
            raise UserError(
                f"A .jsonl file must have one JSON object per line. Received: "
                f"{line.strip()[:60]} in {at(path, number)}"
            )
        yield number, value


def _json_rows(path: str, fields: tuple[str, ...]) -> Iterator[Row]:
    for number, value in json_objects(path):
        missing = [field for field in fields if field not in value]
        if missing:
            raise UserError(
                f"A row must have the field {missing[0]!r}. Received: "
                f"{at(path, number)} with the fields {listed(value)}"
            )
        yield Row(number, tuple(value[field] for field in fields))
