"""Strategies for files that are not what they should be, and what must come of reading them."""

import bz2
import copy
import functools
import gzip
import json
import lzma
import os
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

from electra_tf import errors

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0"))
SECONDS = 20  # for one example, against a hang; they take milliseconds

hypothesis.settings.register_profile(
    "readers",
    max_examples=EXAMPLES or 100,
    derandomize=not EXAMPLES,
    database=None,
    deadline=1000 * SECONDS,
    print_blob=bool(EXAMPLES),
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("readers")
few = hypothesis.settings(max_examples=EXAMPLES or 20)  # of readers of whole directories

# What files are seen to hold by mistake: marks of an encoding, of another system or format.
_ODD_BYTES = (
    b"",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x1f\x8b",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\x0c",
    b" ",
    b",",
    b'"',
    b"'",
    b"#",
    b"|",
    b"\\",
    b"\\ud83d",
    b"[",
    b"{",
    b"}",
    b"-",
    b"NaN",
    b"1e999",
    b"9" * 400,
    b"null",
    b"[" * 3000,
    "\u2028".encode(),
    "\u0085".encode(),
    "\u200b".encode(),
    "é".encode(),
)
_ODD_VALUES = (
    "",
    " ",
    "\x00",
    "\ud83d",
    "NaN",
    "-1",
    "true",
    0,
    -1,
    1.5,
    10**400,
    2**63,
    -(2**31) - 1,
    float("nan"),
    float("inf"),
    None,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    [{}],
    "x" * 300,
)
_COMPRESSORS = {
    ".gz": functools.partial(gzip.compress, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}


def read(reader: Callable, *arguments: Any, **settings: Any) -> Any:
    """What a reader returns; None where it raises what a command tells its user in one line."""
    try:
        return reader(*arguments, **settings)
    except Exception as error:
        if not errors.is_for_user(error):
            raise
        assert errors.one_line(error), "an error must say what is wrong"
        return None


def can_be_written(*texts: str) -> bool:
    """Whether texts are Unicode that a file can hold; half of a surrogate pair is not."""
    return all(text.encode("utf-8", "ignore").decode() == text for text in texts)


def damaged(*valid: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, or one of some valid files after a few accidents."""
    return st.one_of(
        st.binary(max_size=200), st.sampled_from(valid).flatmap(_with_accidents), _texts(valid)
    )


def damaged_json(*valid: Any) -> st.SearchStrategy[bytes]:
    """As `damaged`, of JSON values, in which other values may stand as well."""
    files = [json.dumps(value).encode() for value in valid]
    return st.one_of(
        damaged(*files),
        st.sampled_from(valid).flatmap(changed).map(_dumped),
        values().map(_dumped),
    )


def damaged_json_lines(*valid: Any) -> st.SearchStrategy[bytes]:
    """As `damaged_json`, with a value on each line."""
    file = b"".join(_dumped(value) + b"\n" for value in valid)
    line = st.one_of(st.sampled_from(valid).flatmap(changed), st.sampled_from(valid), values())
    lines = st.lists(line, max_size=4).map(lambda lines: b"\n".join(map(_dumped, lines)))
    return st.one_of(damaged(file), lines)


def values() -> st.SearchStrategy:
    """JSON values."""
    odd = st.sampled_from(_ODD_VALUES).map(copy.deepcopy)  # some are changed further
    leaves = st.one_of(odd, st.integers(), st.floats(), st.text(max_size=8))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=6,
    )


@st.composite
def changed(draw, valid: Any) -> Any:
    """A JSON value in which one or two values, at any depth, are gone or others."""
    holder = [copy.deepcopy(valid)]
    for _ in range(draw(st.integers(1, 2))):
        at, key = draw(st.sampled_from(_places(holder)))
        if draw(st.integers(0, 4)) or at is holder:
            at[key] = draw(values())
        else:
            del at[key]
    return holder[0]


def compressed(content: st.SearchStrategy[bytes], suffix: str) -> st.SearchStrategy[bytes]:
    """The whole file of a compressor (.gz, .xz, .bz2), or one after accidents."""
    whole = content.map(_COMPRESSORS[suffix])
    return st.one_of(whole, whole.flatmap(_with_accidents), content)


@st.composite
def _with_accidents(draw, content: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        accident = draw(st.sampled_from("cut drop flip insert double swap".split()))
        if accident == "cut":
            content = content[:start]
        elif accident == "drop":
            content = content[:start] + content[end:]
        elif accident == "flip" and start < len(content):
            flipped = content[start] ^ (1 << draw(st.integers(0, 7)))
            content = content[:start] + bytes([flipped]) + content[start + 1 :]
        elif accident == "insert":
            odd = draw(st.sampled_from(_ODD_BYTES))
            content = content[:start] + odd + content[draw(st.sampled_from((start, end))) :]
        elif accident == "double":
            content = content[:end] + content[start:]
        else:
            lines = content.split(b"\n")
            one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
            lines[one], lines[other] = lines[other], lines[one]
            content = b"\n".join(lines)
    return content


def _texts(valid: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Pieces of the valid files in any order: what only a file's own words can lead to."""
    words = {word for file in valid for word in file.replace(b"\n", b" \n ").split(b" ")}
    pieces = st.sampled_from(sorted(words)[:200] + list(_ODD_BYTES))
    between = st.sampled_from((b"", b" ", b"\t", b"\n", b",", b'"'))
    return st.lists(st.tuples(pieces, between), max_size=12).map(
        lambda parts: b"".join(piece + end for piece, end in parts)
    )


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    places = []
    for key in keys:
        places.append((value, key))
        if isinstance(value[key], list | dict) and value[key]:
            places += _places(value[key])
    return places
