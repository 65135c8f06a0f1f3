"""Requests to TensorFlow Serving's REST API as Python values, and the answers to them.

https://www.tensorflow.org/tfx/serving/api_rest; where that is silent, the server's source. Content
types are not looked at. Sizes are, which a server leaves to its operator: see the limits.
"""

import json
import re
import urllib.parse
from typing import NamedTuple

import numpy as np

from electra_tf.errors import UserError
from electra_tf.serving.client.answers import plain, rows_of

LARGEST_BODY = 2**20  # bytes
DEEPEST = 32  # lists and objects in each other: Python's parser recurses
# Bytes of text, or numbers, once all rows are as long as the longest, a text being SHORTEST_ROW at
# least: the memory of a call grows with them.
LARGEST_INPUT = 2**17
SHORTEST_ROW = 16
LARGEST_ANSWER = 2**22  # numbers and strings

# Strings, to their end or that of the body, and what opens or closes.
_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PATHS = {
    "POST": rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)",
    "GET": rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?",
}


_KINDS = {
    **{dict: "an object", list: "an array", str: "a string", type(None): "null"},
    **{bool: "a boolean", int: "a number", float: "a number"},
}


class Asked(NamedTuple):
    """What the path of a request says.

    Attributes:
        verb: predict, classify, regress, metadata, or "" for the states of the versions.
        model: its name.
        version: its number; None: the server's choice.
        label: of a version; None: none.
    """

    verb: str
    model: str
    version: int | None = None
    label: str | None = None


def parse_path(method: str, path: str) -> Asked:
    """What is asked by a method and the path of a URL, still quoted; UserError if nothing is."""
    match = re.fullmatch(_PATHS.get(method, "(?!)"), path, re.IGNORECASE)
    if not match:
        raise UserError(f"Malformed request: {method} {path}")
    if not match["model"]:
        raise UserError("Missing model name in request.")
    version = None
    if match["version"]:
        digits = match["version"].lstrip("0") or "0"
        if len(digits) > 19 or int(digits) >= 2**63:
            raise UserError(f"Failed to convert version: {digits} to numeric.")
        version = int(digits)
    model, label = (part and urllib.parse.unquote(part) for part in match.group("model", "label"))
    return Asked((match["verb"] or "").lower(), model, version, label)


def parse_body(body: bytes) -> dict:
    """The object that a request is; in its strings invalid UTF-8 as Python's surrogate escapes.

    Raises:
        UserError: it is no JSON, too deep, or no object.
    """
    depth = 0
    for part in _BRACKETS.finditer(body):
        bracket = part[0]
        depth += (bracket in b"[{") - (bracket in b"]}")
        if depth > DEEPEST:
            raise UserError(f"JSON must be at most {DEEPEST} lists or objects deep. Received: more")
    try:
        document = json.loads(body.decode(errors="surrogateescape").removeprefix("\ufeff"))
    except ValueError as error:
        raise UserError(f"A request must be JSON. Received: {error}") from None
    if not isinstance(document, dict):
        raise UserError(f"A request must be a JSON object. Received: {_KINDS[type(document)]}")
    return document


def signature_of(document: dict) -> str:
    """The signature that a request names, "" for none; raises UserError for other than a string."""
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise UserError(f"signature_name must be a string. Received: {_KINDS[type(signature)]}")
    return signature


def columns_of(document: dict, names: list[str]) -> tuple[dict, bool]:
    """The inputs of a request to predict.

    Args:
        document: with rows, "instances", or columns, "inputs".
        names: of the signature's inputs.

    Returns:
        Nested lists by the names of the inputs; whether the request is of rows.

    Raises:
        UserError: it has neither or both, or its rows are not alike.
    """
    by_row = "instances" in document
    if by_row == ("inputs" in document):
        raise UserError(
            "A request must be an object with either instances or inputs. Received: "
            f"{'both' if by_row else 'neither'}"
        )
    values = document["instances" if by_row else "inputs"]
    if by_row:
        if not isinstance(values, list) or not values:
            raise UserError(
                f"instances must be a list of one or more. Received: {_KINDS[type(values)]}"
            )
        are_named = [_is_named(row) for row in values]
        if any(are_named):
            if not all(are_named) or any(row.keys() != values[0].keys() for row in values):
                raise UserError("All instances must have the same inputs. Received: others")
            return {name: [row[name] for row in values] for name in values[0]}, True
    elif _is_named(values):
        return values, False
    if len(names) != 1:
        raise UserError(
            f"A request for several inputs must name them: {', '.join(names)}. Received: no names"
        )
    return {names[0]: values}, by_row


def require_small(arrays: dict[str, np.ndarray]) -> None:
    """Raises UserError for inputs beyond LARGEST_INPUT."""
    for name, values in arrays.items():
        longest = 1
        if values.dtype == object:
            longest = max(SHORTEST_ROW, max(map(len, values.flat), default=0))
        if values.size * longest > LARGEST_INPUT:
            raise UserError(
                f"{name} must have at most {LARGEST_INPUT} bytes or numbers when all rows are as "
                f"long as the longest. Received: {values.size * longest}; ask for less at once"
            )


def answer_of(outputs: dict[str, np.ndarray], by_row: bool) -> dict:
    """The answer to a request to predict.

    Raises:
        UserError: it is too large, or rows are asked for and the outputs have none.
    """
    number = sum(values.size for values in outputs.values())
    if number > LARGEST_ANSWER:
        raise UserError(
            f"An answer must have at most {LARGEST_ANSWER} numbers and strings: ask for less at "
            f"once. Received: {number}"
        )
    if by_row and len({values.shape[:1] for values in outputs.values()} | {()}) != 2:
        raise UserError("A signature for instances must answer row by row. Received: other shapes")
    columns = {name: plain(values) for name, values in outputs.items()}
    key = "predictions" if by_row else "outputs"
    if len(columns) == 1:  # which then goes without its name
        return {key: next(iter(columns.values()))}
    return {key: rows_of(columns) if by_row else columns}


def _is_named(value) -> bool:
    """Whether a value is inputs by their names, not one that is base64."""
    return isinstance(value, dict) and not (
        value.keys() == {"b64"} and isinstance(value["b64"], str)
    )
