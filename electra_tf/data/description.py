"""dataset.json as it is read: what of it must be there, and right."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from electra_tf.data.manifest import FORMAT_VERSION, PACKINGS
from electra_tf.errors import UserError
from electra_tf.json_files import json_object

_MOST_EXAMPLES = 1 << 31  # of one file; more is a slip
# What is read of dataset.json, and whether its value can be right.
_DESCRIPTION: dict[str, Callable[[Any], bool]] = {
    "seq_length": lambda value: type(value) is int and value > 0,
    "packing": lambda value: value in PACKINGS,
    "tokenizer": lambda value: all(isinstance(item, str | bool | list) for item in value.values()),
    "splits": lambda value: all(
        isinstance(file["name"], str)
        and type(file["examples"]) is int
        and 0 <= file["examples"] < _MOST_EXAMPLES
        for split in value.values()
        for file in split["files"]
    ),
}


def read_description(data_dir: str) -> dict[str, Any] | None:
    """The content of dataset.json, which `manifest` writes; None without the file.

    Raises:
        UserError: it is no such description.
    """
    path = os.path.join(data_dir, "dataset.json")
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        description = json_object(file.read(), path)
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"dataset.json must have format_version {FORMAT_VERSION}; build the data set again "
            f"with this version of electra_tf. Received: {version!r} in {data_dir}"
        )
    description.setdefault("tokenizer", {})  # older ones lack it
    for name, is_right in _DESCRIPTION.items():
        try:
            right = is_right(description[name])
        except (AttributeError, KeyError, TypeError):
            right = False
        if not right:
            raise UserError(
                "dataset.json must be as `electra_tf build_dataset` writes it; build the data set "
                f"again. Received: {path} with {name}={description.get(name)!r:.80}"
            )
    return description
