"""The texts that a client is asked to send, from flags, a file or stdin, in batches."""

import sys
from collections.abc import Iterator


def texts_of_flags(flags: dict[str, list[str] | None]) -> dict[str, list[str]]:
    """Inputs given as flags, each as often as the others.

    Args:
        flags: by the name of the input; None or empty where it was not given.

    Raises:
        ValueError: one was given more often than another.
    """
    inputs = {name: [_valid(text) for text in texts] for name, texts in flags.items() if texts}
    if len({len(texts) for texts in inputs.values()}) > 1:
        counts = ", ".join(f"--{name} {len(texts)} times" for name, texts in inputs.items())
        raise ValueError(f"Inputs must be given equally often. Received: {counts}")
    return inputs


def texts_of_file(path: str, fields: list[str]) -> dict[str, list[str]]:
    """Inputs of a file, or of stdin if the path is "-": a line each, of fields between tabs.

    Empty lines are skipped. With one field a line is the text, tabs included.

    Raises:
        ValueError: a line has more or fewer fields.
    """
    inputs = {name: [] for name in fields}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        parts = line.split("\t") if len(fields) > 1 else [line]
        if len(parts) != len(fields):
            raise ValueError(f"A line of {path} must have {len(fields)} fields between tabs "
                             f"({', '.join(fields)}). Received: {len(parts)} in line {number}")
        for name, part in zip(fields, parts):
            inputs[name].append(_valid(part))
    return inputs


def batches(inputs: dict[str, list[str]], size: int) -> Iterator[dict[str, list[str]]]:
    """Inputs in parts of at most `size` texts, in order."""
    number = len(next(iter(inputs.values())))
    for start in range(0, number, size):
        yield {name: texts[start:start + size] for name, texts in inputs.items()}


def _lines(path: str) -> list[str]:
    if path == "-":
        return sys.stdin.buffer.read().decode(errors="ignore").splitlines()
    with open(path, encoding="utf-8", errors="ignore") as file:
        return file.read().splitlines()


def _valid(text: str) -> str:
    """Without lone surrogates, which a shell's invalid UTF-8 becomes; a server drops that, too."""
    return text.encode(errors="ignore").decode()
