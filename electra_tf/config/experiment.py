"""Experiments as Python files: where they are found, and what their `get_config` gives."""

import importlib.util
import inspect
import os
import pathlib
import traceback
from collections.abc import Callable
from typing import Any

from electra_tf.errors import UserError, one_line
from electra_tf.files import expand

_FOLDER = "configs"
_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def find(name: str) -> str:
    """The path of an experiment's file.

    Args:
        name: a path, perhaps with `:ARGUMENT` at its end. One like configs/electra_small.py that
            is not there is looked for among the experiments that come with electra_tf.

    Returns:
        The path, with the same `:ARGUMENT`.

    Raises:
        UserError: there is no such file.
    """
    path, colon, argument = expand(name).partition(":")
    if not pathlib.Path(path).is_file():
        below = pathlib.PurePath(path).parts[1:]
        # In an installed package, or beside it in a checkout.
        ours = [folder / _FOLDER for folder in (_PACKAGE, _PACKAGE.parent)]
        there = [folder.joinpath(*below) for folder in ours if path.startswith(f"{_FOLDER}/")]
        found = next(filter(pathlib.Path.is_file, there), None)
        if found is None:
            raise UserError(
                "A config must be a Python file with get_config(), such as "
                f"configs/electra_small.py. Received: {path}, which is not there"
            )
        path = str(found)
    return path + colon + argument


def execute(name: str) -> Any:
    """What `get_config` of an experiment's file returns.

    Args:
        name: as of `find`.

    Raises:
        UserError: there is no such file, it has no `get_config`, or what it does fails.
    """
    path, colon, argument = find(name).partition(":")
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"A config must be a Python file with get_config(). Received: {path}")
    module = importlib.util.module_from_spec(spec)
    _run(path, spec.loader.exec_module, module)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"A config must define get_config(). Received: {path} without it")
    arguments = [argument] if colon else []
    try:
        inspect.signature(get_config).bind(*arguments)
    except TypeError:
        rule = "be given without an :ARGUMENT" if colon else "be followed by :ARGUMENT"
        raise UserError(f"The config {path} must {rule}. Received: {name}") from None
    return _run(path, get_config, *arguments)


def _run(path: str, function: Callable, *arguments) -> Any:
    """Calls what the user wrote: whatever fails there is the user's to mend."""
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        file = os.path.abspath(path)
        frames = traceback.extract_tb(error.__traceback__)
        if isinstance(error, UserError) and frames[-1].filename == file:
            raise  # its own words
        lines = [frame.lineno for frame in frames if frame.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines, message = [error.lineno], error.msg
        else:
            message = one_line(error)
        place = f"{path}:{lines[-1]}" if lines else path
        if isinstance(error, UserError):
            raise UserError(f"{message} ({place})") from error
        raise UserError(
            f"A config must run without an error. Received: {type(error).__name__}: {message} "
            f"({place})"
        ) from error
