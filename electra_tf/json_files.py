"""Reading of JSON files; `files` writes them."""

import json

from electra_tf import file_systems
from electra_tf.errors import UserError


def read_json(path: str) -> dict:
    """The object in a JSON file.

    Raises:
        UserError: the file is not UTF-8, not JSON, or holds no object.
        OSError: it cannot be read.
    """
    return json_object(file_systems.read_bytes(path), path)


def json_object(content: bytes, path: str) -> dict:
    """The object in the JSON that was read from `path`; errors as of `read_json`."""
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"A JSON file must be valid. Received: {path} ({error})") from None
    if not isinstance(value, dict):
        raise UserError(
            f"A file must hold one JSON object here. Received: {path} with a {type(value).__name__}"
        )
    return value
