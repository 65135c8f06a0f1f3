"""What the first bytes of a file tell: that all of it is no UTF-8 text, or other JSON than is read.

Such a file would otherwise give garbage, or nothing.
"""

import json
import re
from collections import Counter

from electra_tf.errors import UserError

# Bytes looked at.
HEAD_BYTES = 1 << 20
# Latin script in UTF-16 is half NUL bytes, in UTF-32 three quarters; text has none.
_MOST_NULS = 0.1
# So many JSON lines without the field tell of the others.
_JSON_LINES = 10
_MOST_FIELDS = 10

_ICONV = "convert it: iconv -f {} -t UTF-8 FILE > NEW"
_SIGNATURES = (
    (b"\xff\xfe\x00\x00", "UTF-32", _ICONV.format("UTF-32")),  # before UTF-16, whose mark it holds
    (b"\x00\x00\xfe\xff", "UTF-32", _ICONV.format("UTF-32")),
    (b"\xff\xfe", "UTF-16", _ICONV.format("UTF-16")),
    (b"\xfe\xff", "UTF-16", _ICONV.format("UTF-16")),
    (b"\x1f\x8b", "gzip", "unpack it: gunzip"),
    (b"\xfd7zXZ\x00", "xz", "unpack it: unxz"),
    (b"BZh91AY&SY", "bzip2", "unpack it: bunzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it: unzstd"),
    (b"PK\x03\x04", "zip", "unpack it: unzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "unpack it: 7z x"),
    (b"%PDF-", "PDF", "convert it: pdftotext"),
    (b"PAR1", "Parquet", "write its texts to a .txt or .jsonl file"),
)


def require_text(head: bytes, name: str) -> None:
    """Raises UserError if a file is something else than UTF-8 text, by its first bytes.

    Args:
        head: up to HEAD_BYTES.
        name: of the file, for the message.
    """
    for signature, kind, advice in _SIGNATURES:
        if head.startswith(signature):
            raise UserError(
                f"Text must be UTF-8. Received: {name}, which begins as {kind} does; {advice}"
            )
    nuls = head.count(0)
    if nuls > max(1, _MOST_NULS * len(head)):  # one alone is a slip in a short file
        # Of a Latin letter the lower byte comes first in UTF-16LE, so NULs are at odd places.
        encoding = "UTF-16LE" if head[1::2].count(0) > nuls / 2 else "UTF-16BE"
        raise UserError(
            f"Text must be UTF-8. Received: {name}, with {nuls:,} NUL bytes among the first "
            f"{len(head):,}; if it is {encoding}, {_ICONV.format(encoding)}"
        )


def require_text_field(head: bytes, is_whole: bool, text_field: str, name: str) -> None:
    """Raises UserError if a .jsonl file is one array, or if none of its first lines has the text.

    Args:
        head: up to HEAD_BYTES.
        is_whole: whether that is the whole file.
        text_field: what the field is called.
        name: of the file, for the message.
    """
    if re.match(rb"(\xef\xbb\xbf)?\s*\[\s*(\{|$)", head):
        raise UserError(
            "A .jsonl file must hold one JSON object per line. Received: "
            f"{name}, which is one array; convert it: jq -c '.[]' FILE > NEW.jsonl"
        )
    found = objects(head)
    if any(isinstance(value.get(text_field), str) for value in found):
        return
    if len(found) >= (1 if is_whole else _JSON_LINES):
        raise UserError(without_text(text_field, f"{name}, with the fields {fields(found)}"))


def objects(head: bytes) -> list[dict]:
    """The JSON objects among the lines of a file's beginning; a line cut off is none."""
    return [value for value in map(_parsed, head.splitlines()) if isinstance(value, dict)]


def without_text(text_field: str, received: str) -> str:
    """What is said of JSON lines without the field of the text."""
    return (
        f"JSON lines must have their text in the field {text_field!r}. Received: {received}; "
        "name another by --text_field"
    )


def fields(found: list[dict]) -> str:
    """The fields of JSON objects, most frequent first, with the types of what is in them."""
    counts = Counter(
        f"{key!r} ({type(each).__name__})" for value in found for key, each in value.items()
    )
    names = [name for name, _ in counts.most_common(_MOST_FIELDS)]
    return ", ".join(names + ["…"] * (len(counts) > len(names)))


def _parsed(line: bytes):
    try:
        return json.loads(line.decode("utf-8-sig", "ignore"))
    except (ValueError, RecursionError):
        return None
