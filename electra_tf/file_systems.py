"""What is done with paths, whatever their file system.

A path with `://`, such as gs://bucket/run, is left to `tf.io.gfile`; all others are Python's own.
TensorFlow is imported with the first such path, and its errors become OSErrors. There a file is
complete or absent, because it is written as `.NAME.tmp` and then renamed, but nothing replaces a
directory in one step: `copy_tree` has an order instead.
"""

import contextlib
import ctypes
import errno
import glob
import io
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import BinaryIO

_Path = str | os.PathLike
_UNFINISHED = re.compile(r"\..+\.tmp")  # see `_renamed`


def is_url(path: _Path) -> bool:
    """Whether a path is TensorFlow's matter."""
    return "://" in os.fspath(path)


def real(path: _Path) -> str:
    """One spelling for all that lead to the same place."""
    return normalized(path) if is_url(path) else os.path.realpath(path)


def normalized(path: _Path) -> str:
    """As os.path.normpath, which takes a slash of `://` away."""
    scheme, separator, rest = os.fspath(path).rpartition("://")
    return scheme + separator + os.path.normpath(rest)


def is_same(path: str, other: str) -> bool:
    """Whether two paths lead to the same file or directory, there or not."""
    if not is_url(path + other) and os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return real(path) == real(other)


def join(directory: str, path: str) -> str:
    """As os.path.join: a URL, too, is absolute."""
    return path if is_url(path) else os.path.join(directory, path)


def exists(path: _Path) -> bool:
    """As os.path.exists."""
    return _asked("exists", path) if is_url(path) else os.path.exists(path)


def is_there(path: _Path) -> bool:
    """As os.path.lexists: whether the name is taken, if only by a broken link."""
    return exists(path) if is_url(path) else os.path.lexists(path)


def is_dir(path: _Path) -> bool:
    """As os.path.isdir."""
    return _asked("isdir", path) if is_url(path) else os.path.isdir(path)


def is_file(path: _Path) -> bool:
    """As os.path.isfile."""
    return exists(path) and not is_dir(path) if is_url(path) else os.path.isfile(path)


def is_empty_dir(path: _Path) -> bool:
    """Whether there is a directory with nothing in it."""
    return is_dir(path) and not names(path)


def names(directory: _Path) -> list[str]:
    """As os.listdir."""
    if not is_url(directory):
        return os.listdir(directory)
    found = (name.rstrip("/") for name in _asked("listdir", directory))  # gs:// appends a slash
    return [name for name in found if name]


def matching(directory: str, pattern: str) -> list[str]:
    """Paths in a directory by a pattern as of glob.glob; [] without the directory."""
    pattern = os.path.join(glob.escape(directory), pattern)
    if not is_url(directory):
        return glob.glob(pattern)
    with contextlib.suppress(FileNotFoundError):
        return _asked("glob", pattern)
    return []


def files_below(directory: str) -> list[str]:
    """Relative paths, with "/" between, of all that is no directory, at any depth.

    Of a URL without what a killed process has left unfinished.
    """
    if is_url(directory):
        return list(_files_below(directory, ""))
    below = pathlib.Path(directory).rglob("*")
    files = [each for each in below if each.is_symlink() or not each.is_dir()]
    return [each.relative_to(directory).as_posix() for each in files]


def modified(path: str) -> float:
    """As os.path.getmtime; 0 where the file system does not know."""
    return _asked("stat", path).mtime_nsec / 1e9 if is_url(path) else os.path.getmtime(path)


def opened(path: _Path) -> BinaryIO:
    """A file to read; that of a URL is read at once."""
    return io.BytesIO(read_bytes(path)) if is_url(path) else open(path, "rb")


def read_bytes(path: _Path) -> bytes:
    """The content of a file."""
    if not is_url(path):
        with open(path, "rb") as file:
            return file.read()
    with _os_errors(path), _gfile().GFile(os.fspath(path), "rb") as file:
        return file.read()


def write_bytes(url: str, content: bytes) -> None:
    """Writes a file, complete or not at all; makes its directory. For URLs; else see `files`."""
    with _renamed(url) as temporary, _gfile().GFile(temporary, "wb") as file:
        file.write(content)


def make_dirs(path: str) -> None:
    """Makes a directory and those above it; does nothing where it is."""
    if is_url(path):
        _asked("makedirs", path)
    else:
        os.makedirs(path, exist_ok=True)


def remove(path: str) -> None:
    """As os.remove."""
    if is_url(path):
        _asked("remove", path)
    else:
        os.remove(path)


def remove_tree(path: str) -> None:
    """Removes a directory as far as it can be removed; does nothing where there is none."""
    if not is_url(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError):
        _asked("rmtree", path)


def copy_file(source: _Path, target: str) -> None:
    """Copies a file's content; to a URL, complete or not at all."""
    if not is_url(target):
        if is_url(source):
            with _os_errors(source):
                _gfile().copy(os.fspath(source), target, overwrite=True)
        else:
            shutil.copyfile(source, target)
        return
    with _renamed(target) as temporary:
        _gfile().copy(os.fspath(source), temporary)


def copy_tree(source: str, target: str, first: str = "", last: str = "") -> None:
    """Copies a directory, file by file; a local one must be new.

    Args:
        first: the file to copy before all others, at a URL.
        last: and when they are there, by which readers know that they are.
    """
    if not is_url(target):
        shutil.copytree(source, target)
        return
    for name in sorted(files_below(source), key=lambda each: (each == last, each != first, each)):
        copy_file(os.path.join(source, name), os.path.join(target, name))


def swap(path: str, other: str) -> None:
    """Swaps two names of this machine, in one step where the file system can."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if not rename or rename(here, os.fsencode(path), here, os.fsencode(other), exchange):
        os.rename(other, f"{path}.old")
        os.rename(path, other)
        os.rename(f"{path}.old", path)


def _files_below(url: str, folder: str) -> Iterator[str]:
    for name in names(os.path.join(url, folder)):
        name = os.path.join(folder, name)
        if is_dir(os.path.join(url, name)):
            yield from _files_below(url, name)
        elif not _UNFINISHED.fullmatch(os.path.basename(name)) and exists(os.path.join(url, name)):
            yield name  # asked because ram:// lists a.b in a, too, as .b


def _gfile():
    import tensorflow as tf  # not before it is needed: --help stays quick

    return tf.io.gfile


def _asked(function: str, path: _Path):
    path = os.fspath(path)
    with _os_errors(path):
        return getattr(_gfile(), function)(path)


@contextlib.contextmanager
def _renamed(url: str) -> Iterator[str]:
    """A name beside a URL whose file becomes it at the end of the block."""
    gfile, (folder, name) = _gfile(), os.path.split(url)
    temporary = os.path.join(folder, f".{name}.tmp")
    with _os_errors(url):
        gfile.makedirs(folder)
        if gfile.exists(temporary):  # of a killed process; not all file systems would replace it
            gfile.remove(temporary)
        yield temporary
        gfile.rename(temporary, url, overwrite=True)


@contextlib.contextmanager
def _os_errors(path: _Path) -> Iterator[None]:
    """Makes OSErrors of TensorFlow's errors."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.NotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path)) from None
    except tf.errors.OpError as error:
        said = error.message.partition("\n")[0] or type(error).__name__
        if isinstance(error, tf.errors.UnimplementedError) and "scheme" in said:
            schemes = sorted(filter(None, tf.io.gfile.get_registered_schemes()))
            said += f"; TensorFlow has {', '.join(schemes)} here"
        raise OSError(errno.EIO, said, os.fspath(path)) from error
