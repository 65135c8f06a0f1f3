"""The texts that a client is asked to send, from flags, a file or stdin, in batches."""

import codecs
import sys
from collections.abc import Iterator

from electra_tf import first_bytes
from electra_tf.errors import UserError


def texts_of_flags(flags: dict[str, list[str] | None]) -> dict[str, list[str]]:
    """Inputs given as flags, each as often as the others.

    Args:
        flags: by the name of the input; None or empty where it was not given.

    Raises:
        UserError: one was given more often than another.
    """
    inputs = {name: [valid(text) for text in texts] for name, texts in flags.items() if texts}
    if len({len(texts) for texts in inputs.values()}) > 1:
        counts = ", ".join(f"--{name} {len(texts)} times" for name, texts in inputs.items())
        raise UserError(f"Inputs must be given equally often. Received: {counts}")
    return inputs


def texts_of_file(path: str, fields: list[str]) -> dict[str, list[str]]:
    """Inputs of a file, or of stdin if the path is "-": a line each, of fields between tabs.

    Empty lines are skipped. With one field a line is the text, tabs included.

    Raises:
        UserError: a line has more or fewer fields, a field is named twice, or the file is of
            another encoding.
    """
    if not fields or len(set(fields)) < len(fields):
        raise UserError(
            f"--fields must name each input of a line once. Received: {','.join(fields) or 'none'}"
        )
    inputs = {name: [] for name in fields}
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        parts = line.split("\t") if len(fields) > 1 else [line]
        if len(parts) != len(fields):
            raise UserError(
                f"A line of {path} must have {len(fields)} fields between tabs "
                f"({', '.join(fields)}). Received: {len(parts)} in line {number}"
            )
        for name, part in zip(fields, parts):
            inputs[name].append(part)
    return inputs


def batches(inputs: dict[str, list[str]], size: int) -> Iterator[dict[str, list[str]]]:
    """Inputs in parts of at most `size` texts, in order."""
    number = len(next(iter(inputs.values())))
    for start in range(0, number, size):
        yield {name: texts[start : start + size] for name, texts in inputs.items()}


def lines_of(path: str) -> list[str]:
    """The lines of a UTF-8 file, or of stdin if the path is "-".

    Only a line feed ends a line, with a carriage return before it or without: a text may have all
    other characters, such as U+2028. Invalid bytes are dropped, as a server does.

    Raises:
        UserError: the file is of another encoding, or compressed.
    """
    if path == "-":
        content = sys.stdin.buffer.read()
    else:
        with open(path, "rb") as file:
            content = file.read()
    first_bytes.require_text(content[: first_bytes.HEAD_BYTES], path)
    lines = content.removeprefix(codecs.BOM_UTF8).decode(errors="ignore").split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def valid(text: str) -> str:
    """Without lone surrogates, which a shell's invalid UTF-8 becomes; a server drops that, too."""
    return text.encode(errors="ignore").decode()
