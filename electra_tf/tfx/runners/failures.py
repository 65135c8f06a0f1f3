"""Why a component failed, in one line that its user can act on."""

import os
import re
import traceback
from collections.abc import Iterator

from electra_tf.errors import UserError, one_line

# The end of a traceback that Apache Beam or a subprocess has put into a message.
_LAST_LINE = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception): .+)$", re.MULTILINE)
_LONGEST = 300  # characters of a message that this library has not written


def readable(node: str, error: Exception, log_folder: str) -> UserError:
    """The error to end a pipeline run with: "NODE: cause", one line.

    Args:
        node: id of the component that failed.
        error: what its executor raised. A UserError is told by its message alone.
            Anything else keeps its type's name, and its traceback goes into a file.
        log_folder: folder of such files, made where it is needed.
    """
    chain = list(_chain(error))
    told = next((item for item in chain if isinstance(item, UserError)), None)
    if told is not None:
        return UserError(f"{node}: {one_line(told).removeprefix(f'{node}: ')}")
    text = "".join(traceback.format_exception(error))
    return unexpected(node, f"{type(chain[-1]).__name__}: {chain[-1]}", text, log_folder)


def unexpected(node: str, message: str, details: str, log_folder: str) -> UserError:
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
    cause = one_line(inner[-1] if inner else message)
    cause = cause if len(cause) <= _LONGEST else cause[: _LONGEST - 2] + " …"
    return UserError(f"{node}: {cause} (traceback: {path})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
