"""Why a component failed, in one line that its user can act on."""

import os
import re
import traceback
from collections.abc import Iterator

import electra_tf

_LIBRARY = os.path.dirname(os.path.abspath(electra_tf.__file__)) + os.sep
_USER_ERRORS = (ValueError, FloatingPointError, OSError)
# The end of a traceback that Apache Beam or a subprocess has put into a message.
_LAST_LINE = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception): .+)$", re.MULTILINE)
_LONGEST = 300  # characters of a message that this library has not written


def readable(node: str, error: Exception, log_folder: str) -> ValueError:
    """The error to end a pipeline run with: "NODE: cause", one line.

    Args:
        node: id of the component that failed.
        error: what its executor raised. An error that this library raises says what is wrong and
            what to do, and is all that is shown. Anything else keeps its type's name, and its
            traceback goes into a file.
        log_folder: folder of such files, made where it is needed.
    """
    chain = list(_chain(error))
    own = next((item for item in chain if _is_own(item)), None)
    if own is not None:
        return ValueError(f"{node}: {_one_line(str(own)).removeprefix(f'{node}: ')}")
    text = "".join(traceback.format_exception(error))
    return unexpected(node, f"{type(chain[-1]).__name__}: {chain[-1]}", text, log_folder)


def unexpected(node: str, message: str, details: str, log_folder: str) -> ValueError:
    """The error for what no code of this library has explained.

    Args:
        node: id of the component that failed.
        message: the error's type and text.
        details: a traceback, for the log file.
        log_folder: folder of the log file.
    """
    os.makedirs(log_folder, exist_ok=True)
    path = os.path.join(log_folder, f"{node}.log")
    with open(path, "w", encoding="utf-8") as file:
        file.write(details)
    inner = _LAST_LINE.findall(message)
    cause = _one_line(inner[-1] if inner else message)
    cause = cause if len(cause) <= _LONGEST else cause[:_LONGEST - 2] + " …"
    return ValueError(f"{node}: {cause} (traceback: {path})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_own(error):
    """Whether it is for the user and raised by a line of this library."""
    frames = traceback.extract_tb(error.__traceback__)
    return (isinstance(error, _USER_ERRORS) and bool(frames)
            and os.path.abspath(frames[-1].filename).startswith(_LIBRARY))


def _one_line(text):
    return " ".join(text.split())
