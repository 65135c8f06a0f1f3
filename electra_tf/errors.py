"""Errors that users can fix, told apart from faults of the program."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator


class UserError(ValueError):
    """Something is wrong with an input, a setting or a file, and the user can mend it.

    The message states the rule, then what was received. Commands print it as one line; a fault of
    the program keeps its traceback.
    """


class NotFiniteError(UserError, FloatingPointError):
    """A loss or gradient is not finite: learning rate, precision or data is at fault."""


class NoRoomError(UserError):
    """A disk is full, or a quota used up."""


# What TensorFlow raises where Python raises an OSError, by the names of its classes: this module
# does without TensorFlow.
_FILE_ERRORS = (
    "AlreadyExistsError",
    "DataLossError",
    "NotFoundError",
    "PermissionDeniedError",
    "UnavailableError",
)


_NO_ROOM = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
# Other kinds are about files where their message says so.
_FILE_MESSAGES = re.compile(
    "Is a directory|Not a directory|Directory not empty|No space left|Disk quota exceeded"
    "|File too large|Read-only file system|Input/output error|File system scheme"
)
# How TensorFlow tells what a Python function has raised inside a graph.
_FROM_PYTHON = re.compile(
    r"(?:^|\s)(?:\w+\.)*UserError: (.+?)\s+Traceback \(most recent call last\)", re.DOTALL
)
# What TensorFlow puts around a message: nodes of the graph, and the operation.
_AROUND = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:.*?\].*")


def is_for_user(error: BaseException) -> bool:
    """Whether an exception is told in one line: a UserError, or a file that cannot be used."""
    if isinstance(error, (UserError, OSError)) or lack_of_room(error):
        return True
    if not _is_tensorflows(error):
        return False
    text = str(error)
    return bool(
        type(error).__name__ in _FILE_ERRORS
        or _FILE_MESSAGES.search(text)
        or _FROM_PYTHON.search(text)
    )


def lack_of_room(error: BaseException) -> str | None:
    """Why nothing more can be written, if that is what an error of any library says."""
    message = str(error)
    return next((reason for reason in _NO_ROOM if reason in message), None)


@contextlib.contextmanager
def room_for(path: str) -> Iterator[None]:
    """Makes one UserError about `path` of whatever is raised because a disk is full."""
    try:
        yield
    except Exception as error:
        reason = lack_of_room(error)
        if reason is None or isinstance(error, UserError) and not isinstance(error, NoRoomError):
            raise
        raise NoRoomError(
            f"There must be room for what is written. Received: {path} ({reason})"
        ) from error


def one_line(error: BaseException | str) -> str:
    """A message without line breaks, and without what systems and TensorFlow add for developers."""
    text = str(error)
    told = _FROM_PYTHON.search(text)
    if told:
        text = told[1]
    elif _is_tensorflows(error):
        text = _AROUND.sub("", text.strip().partition("\n")[0])
    return re.sub(r"\[Errno -?\d+\] ", "", " ".join(text.split()))


def _is_tensorflows(error):
    return type(error).__module__.startswith("tensorflow.")
