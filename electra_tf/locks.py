"""Locks that end with the process that holds them, however it ends."""

import contextlib
import dataclasses
import fcntl
import os
import threading
from collections.abc import Iterator

_FILE = ".lock"
_held: dict[str, int] = {}  # directories by the thread of this process that writes in them


class InUse(Exception):
    """Another process or thread holds a directory; `process` is its id, or empty."""

    def __init__(self, process: str):
        super().__init__(process)
        self.process = process

    def describe(self, directory: str) -> str:
        """The rule, and who breaks it."""
        process = self.process and f", process {self.process}"
        return (
            f"A directory must have one writer at a time. Received: {directory}, in use by "
            f"another run{process}"
        )


@dataclasses.dataclass
class Lock:
    """A held lock.

    Attributes:
        is_sure: False on a file system without locks.
    """

    descriptor: int
    is_sure: bool = True

    def close(self) -> None:
        """Lets go."""
        os.close(self.descriptor)


def try_lock(path: str, flags: int = os.O_RDONLY) -> Lock | None:
    """Locks a file or directory; None if another process holds it, or has just replaced it.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        return Lock(descriptor, is_sure=False)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return Lock(descriptor)
    os.close(descriptor)
    return None


@contextlib.contextmanager
def hold(directory: str) -> Iterator[None]:
    """Holds a directory while the block runs; makes it if missing, removes it if left empty.

    The lock is on the file .lock in it, which is removed at the end. One that a killed process has
    left is nobody's and in nobody's way. The same thread may ask again within the block.

    Raises:
        InUse: another process or thread holds it.
    """
    real = os.path.realpath(directory)
    if _held.get(real) == threading.get_ident():
        yield
        return
    made = _make(real)
    path = os.path.join(real, _FILE)
    try:
        lock = _locked_file(path)
        try:
            _held[real] = threading.get_ident()
            yield
        finally:
            del _held[real]
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)  # before another process can have it
            lock.close()
    finally:
        with contextlib.suppress(OSError):  # not empty
            for each in made:
                os.rmdir(each)


def require_unused(directory: str) -> None:
    """Raises InUse if another process holds a directory; writes nothing."""
    path = os.path.join(os.path.realpath(directory), _FILE)
    with contextlib.suppress(FileNotFoundError):
        lock = try_lock(path)
        if lock is None:
            with open(path, encoding="utf-8") as file:
                raise InUse(file.read().strip())
        lock.close()


def _locked_file(path: str) -> Lock:
    """Makes and locks a file with the id of this process."""
    while True:
        lock = try_lock(path, os.O_RDWR | os.O_CREAT)
        if lock is not None:
            os.truncate(lock.descriptor, 0)
            os.write(lock.descriptor, f"{os.getpid()}\n".encode())
            return lock
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            raise InUse(file.read().strip())  # the file is still there, and so its process


def _make(directory: str) -> list[str]:
    """Makes a directory and those above it; returns the new ones, the last one first."""
    new = []
    while not os.path.lexists(directory):
        new.append(directory)
        directory = os.path.dirname(directory)
    for each in reversed(new):
        os.makedirs(each, exist_ok=True)
    return new
