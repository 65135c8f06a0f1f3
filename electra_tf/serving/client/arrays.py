"""Nested lists as the arrays that a signature takes, by the rules of TensorFlow Serving's JSON.

Lists come from anywhere. They are looked at here, to no more depth than the signature has, as
TensorFlow ends the process on some and takes others for what they are not.
"""

import base64
import binascii
import string

import numpy as np

from electra_tf.errors import UserError

_INTEGERS = {"int32": np.int32, "int64": np.int64}
_DTYPES = {"string": object, "float32": np.float32} | _INTEGERS
_LARGEST_RANK = 8  # of an input that may have any


def array_of(name: str, value, dtype: str, shape: tuple[int | None, ...] | None) -> np.ndarray:
    """An input of a signature.

    Args:
        name: of the input, for messages.
        value: nested lists, or an array. Of numbers; or of text: str, bytes or {"b64": base64 of
            bytes}, where a str may have bytes of no valid UTF-8 as Python's surrogate escapes.
        dtype: TensorFlow's name: string, int32, int64 or float32.
        shape: what is known of each axis; None: nothing.

    Returns:
        An array; of strings one of bytes objects.

    Raises:
        UserError: the lists are of different lengths or depths, the elements no such values, or
            the shape is not the input's.
    """
    if dtype not in _DTYPES:
        raise UserError(f"{name} must be of {', '.join(_DTYPES)}. Received: {dtype}")
    rule = f"{name} must have " + (
        f"at most {_LARGEST_RANK} axes" if shape is None else f"the shape {shape}"
    )
    lengths, elements = [], [value.tolist() if isinstance(value, np.ndarray) else value]
    while elements and any(isinstance(element, (list, tuple)) for element in elements):
        lengths.append(len(elements[0]) if isinstance(elements[0], (list, tuple)) else None)
        if len(lengths) > (_LARGEST_RANK if shape is None else len(shape)):
            raise UserError(f"{rule}. Received: lists nested deeper")
        for element in elements:
            if not isinstance(element, (list, tuple)) or len(element) != lengths[-1]:
                raise UserError(
                    f"{name} must be made of lists of one length, nested alike. Received: "
                    f"{_kind(element)} beside {_kind(elements[0])}"
                )
        elements = [item for element in elements for item in element]
    if shape is not None and (
        len(lengths) != len(shape)
        or any(axis not in (None, length) for axis, length in zip(shape, lengths))
    ):
        raise UserError(f"{rule}. Received: {tuple(lengths)}")
    values = np.empty(len(elements), _DTYPES[dtype])
    for place, element in enumerate(elements):
        values[place] = _element(name, element, dtype)
    return values.reshape(lengths)


def _element(name: str, value, dtype: str):
    if dtype == "string":
        return bytes_of(name, value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if dtype == "float32" and (is_number or isinstance(value, float)):
        try:
            return np.float32(value)
        except OverflowError:
            pass
    elif is_number and np.iinfo(_INTEGERS[dtype]).min <= value <= np.iinfo(_INTEGERS[dtype]).max:
        return value
    raise UserError(f"{name} must be made of {dtype}s. Received: {_kind(value)}")


def bytes_of(name: str, value) -> bytes:
    """A string of JSON, or an object that is base64; raises UserError for anything else."""
    if isinstance(value, bytes):
        return value
    try:
        if isinstance(value, str):
            return value.encode(errors="surrogateescape")
        if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
            encoded = value["b64"].translate(dict.fromkeys(map(ord, string.whitespace))).rstrip("=")
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except UnicodeEncodeError:
        raise UserError(f"{name} must be whole characters. Received: half of a pair") from None
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{name} must be base64 where it is b64. Received: {error}") from None
    raise UserError(f"{name} must be made of strings. Received: {_kind(value)}")


def _kind(value) -> str:
    """What a value is, in a few words whatever it is."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= 2**64:
        return "a larger integer"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
