"""What may be written where, and atomic writes of files and directories.

All that writes asks `output` first, before any work. Unfinished work lies in `.NAME.XXXXXXXX.tmp`
beside its final name, a folder that its process holds a lock on; that of a killed process is
removed by the next call that would write NAME, also if it may not.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator

from electra_tf import file_systems, locks, pretrained
from electra_tf.errors import UserError, room_for

_LONGEST_NAME = 240  # bytes; file systems take 255, and the folder of unfinished work adds 14


@dataclasses.dataclass(frozen=True)
class Kind:
    """The directories that a command makes, and so may replace.

    Attributes:
        title: what they are called in messages.
        marker: the file that each of them has.
        entries: regular expressions of the paths of all other files in them, with "/" between.
    """

    title: str
    marker: str
    entries: tuple[str, ...]

    def require(self, path: str) -> None:
        """Raises UserError if there is anything at `path` but a directory of this kind."""
        if not file_systems.is_file(os.path.join(path, self.marker)):
            reason = f"which has no {self.marker}"
        else:
            known = re.compile("|".join((re.escape(self.marker), *self.entries)))
            names = file_systems.files_below(path)
            foreign = [name for name in names if not known.fullmatch(name)]
            if not foreign:
                return
            reason = f"which also holds {min(foreign)}"
        raise UserError(
            f"--overwrite must replace {self.title} and nothing else. Received: {path}, {reason}"
        )


def expand(path: str | os.PathLike) -> str:
    """A path as the user means it: `~` is the home directory, file:// goes, other URLs stay.

    `pretrained:NAME` is a model that comes with the package, or a UserError if it has none.
    """
    path = os.fspath(path).removeprefix("file://")
    if not path.startswith(pretrained.PREFIX):
        return path if file_systems.is_url(path) else os.path.expanduser(path)
    known = pretrained.directories()
    if path not in known:
        raise UserError(f"A model must be one of {', '.join(known)}. Received: {path}")
    return known[path]


def output(
    path: str | os.PathLike,
    kind: Kind | None = None,
    *,
    inputs: Iterable[str | os.PathLike] = (),
    overwrite: bool = False,
    url: bool = False,
) -> str:
    """Decides whether a command may write there; asked before any work.

    An output never is or contains an input, nor replaces anything in one; a directory never lies in
    one. That holds for what links and other spellings lead to, too.

    Args:
        path: file or directory to write.
        kind: what the directory will be; None: the output is a file.
        inputs: files and directories that the command reads.
        overwrite: whether something of the same kind may be replaced.
        url: whether it may lie on any file system of TensorFlow, such as gs://bucket/x.

    Returns:
        The expanded path.

    Raises:
        UserError: it may not.
    """
    path = _place(path, url)
    real = file_systems.real(path)
    _remove_unfinished(real)
    is_there = file_systems.is_there(real) and not (kind and file_systems.is_empty_dir(real))
    for each in map(expand, inputs):
        _require_apart(path, each, may_lie_in=kind is None and not is_there)
    if kind is None:
        if path.endswith(os.sep) or is_there and not file_systems.is_file(real):
            is_dir = path.endswith(os.sep) or file_systems.is_dir(real)
            what = "directory" if is_dir else "device"
            raise UserError(f"The output must be a file. Received: {path}, a {what}")
        if is_there and not overwrite:
            raise UserError(
                f"The output must not exist yet. Received: {path}; choose another or pass "
                "--overwrite"
            )
    else:
        if not overwrite or not file_systems.is_dir(real):
            require_new(path)
        if is_there:
            kind.require(path)
        if os.path.ismount(real):
            raise UserError(f"The output must not be a mount point. Received: {path}")
    _require_place(path, real)
    return path


def workdir(
    path: str | os.PathLike, inputs: Iterable[str], own: Iterable[str], *, url: bool = False
) -> str:
    """Decides whether a run or an export may go on in a directory; returns its expanded path.

    Args:
        path: of the directory; made if missing.
        inputs: files and directories that are read.
        own: names in the directory that a run replaces, where its config.json is there, too.
        url: as of `output`.

    Raises:
        UserError: there is a file, an input, or something of the user's own.
    """
    path = _place(path, url)
    if any(file_systems.is_same(path, expand(each)) for each in inputs if each):
        raise UserError(f"The output must leave the inputs alone. Received: {path}, which is one")
    if file_systems.is_there(path) and not file_systems.is_dir(path):
        raise UserError(f"The output must be a directory. Received: {path}, a file")
    for name in () if file_systems.exists(os.path.join(path, "config.json")) else own:
        if file_systems.is_there(os.path.join(path, name)):
            raise UserError(
                f"A workdir must be new or a run's, with config.json. Received: {path} without it, "
                f"but with {name}"
            )
    _require_place(path, os.path.join(file_systems.real(path), "config.json"))
    return path


def write_text(path: str, text: str) -> None:
    """Writes a UTF-8 file, complete or not at all; makes its directory."""
    write_bytes(path, text.encode())


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file, complete or not at all; makes its directory."""
    if file_systems.is_url(path):
        with room_for(path):
            file_systems.write_bytes(path, content)
        return
    with new_file(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def new_file(path: str) -> Iterator[str]:
    """A name to write to, whose file becomes `path` at the end of the block if all went well."""
    if file_systems.is_url(path):
        with tempfile.TemporaryDirectory() as folder, room_for(path):
            temporary = os.path.join(folder, os.path.basename(path))
            yield temporary
            file_systems.copy_file(temporary, path)
        return
    real = os.path.realpath(path)
    with work_folder(path) as folder:
        temporary = os.path.join(folder, os.path.basename(real))
        yield temporary
        os.replace(temporary, real)


@contextlib.contextmanager
def new_directory(path: str, replaced: Kind | None = None) -> Iterator[str]:
    """A folder to write into, which becomes `path` at the end of the block if all went well.

    Args:
        path: where it will be.
        replaced: the kind of directory that may be there; by default only an empty one.

    Raises:
        UserError: something else is there, also if it came while the block ran.
    """
    if replaced is None:
        require_new(path)
    real = os.path.realpath(path)
    with work_folder(path) as work:
        folder = os.path.join(work, os.path.basename(real))
        os.mkdir(folder)
        yield folder
        publish(folder, path, replaced)


def publish(folder: str, path: str, replaced: Kind | None = None) -> None:
    """Renames a finished folder to `path`, at once also where that replaces a directory.

    Args:
        folder: beside `path`, or in its `work_folder`; becomes what was replaced.
        path: absent, an empty directory or one of the kind `replaced`.
        replaced: see `new_directory`.
    """
    real = os.path.realpath(path)
    if replaced is None or not os.path.lexists(real) or file_systems.is_empty_dir(real):
        try:
            os.rename(folder, real)
        except OSError:
            require_new(path)
            raise
        return
    replaced.require(path)
    file_systems.swap(folder, real)


@contextlib.contextmanager
def work_folder(path: str) -> Iterator[str]:
    """A folder beside `path` for unfinished work; removes it, and what killed processes left.

    Errors of the operating system name `path` instead of what lies in the folder.
    """
    parent, name = os.path.split(os.path.realpath(path))
    try:
        with room_for(path), _work_folder(parent, name) as folder:
            yield folder
    except OSError as error:
        if str(error.filename).startswith(os.path.join(parent, f".{name}.")):
            error.filename, error.filename2 = path, None
        raise


@contextlib.contextmanager
def _work_folder(parent: str, name: str) -> Iterator[str]:
    os.makedirs(parent, exist_ok=True)
    _remove_unfinished(os.path.join(parent, name))
    while True:
        folder = tempfile.mkdtemp(dir=parent, prefix=f".{name}.", suffix=".tmp")
        with contextlib.suppress(FileNotFoundError):
            lock = locks.try_lock(folder)
            if lock is not None:
                break  # else another process has just taken it for a leftover
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _remove_unfinished(real: str) -> None:
    """Removes the work folders of killed processes beside a path."""
    parent, name = os.path.split(real)
    with contextlib.suppress(OSError):  # of a folder that is not there, or not to be read
        remove_leftovers(parent, rf"\.{re.escape(name)}\.\w{{8}}\.tmp")


def remove_leftovers(parent: str, pattern: str) -> None:
    """Removes folders by a regular expression of their names, unless a process works in them."""
    for name in filter(re.compile(pattern).fullmatch, os.listdir(parent)):
        folder = os.path.join(parent, name)
        with contextlib.suppress(OSError):
            lock = locks.try_lock(folder)
            if lock is not None:
                if lock.is_sure:
                    shutil.rmtree(folder, ignore_errors=True)
                lock.close()


@contextlib.contextmanager
def one_writer(directory: str) -> Iterator[None]:
    """Holds a directory against a second writer while the block runs; see `locks.hold`.

    Not one of a URL: there are no locks, and two writers make a mixture.

    Raises:
        UserError: another process or thread writes there.
    """
    with contextlib.ExitStack() as stack:
        try:
            if not file_systems.is_url(directory):
                stack.enter_context(locks.hold(directory))
        except locks.InUse as other:
            raise UserError(other.describe(directory)) from None
        yield


def require_new(path: str) -> None:
    """Raises UserError if there is something at `path` other than an empty folder."""
    if file_systems.is_there(path) and not file_systems.is_empty_dir(path):
        raise UserError(
            f"The output must be a new or an empty directory. Received: {path}; choose another or "
            "pass --overwrite"
        )


def _place(path: str | os.PathLike, url: bool) -> str:
    path = expand(path)
    if url and file_systems.is_url(path):
        return path
    if not path or "\0" in path or file_systems.is_url(path) or path.startswith("~"):
        raise UserError(f"An output must be a path on this machine. Received: {path!r}")
    if pretrained.holds(path):
        raise UserError(
            f"An output must not lie among the models of the package; copy the model first. "
            f"Received: {path}"
        )
    return path


def _require_apart(path: str, source: str, may_lie_in: bool) -> None:
    """Raises UserError if an output would harm an input."""
    if file_systems.is_same(path, source):
        relation = "it is the input"
    else:
        ours, theirs = (os.path.join(file_systems.real(each), "") for each in (path, source))
        if theirs.startswith(ours):
            relation = "it contains the input"
        elif ours.startswith(theirs) and not may_lie_in:
            relation = "it lies in the input"
        else:
            return
    raise UserError(
        f"The output must leave the inputs alone. Received: {path}; {relation} {source}"
    )


def _require_place(path: str, real: str) -> None:
    """Raises UserError if the directory of an output cannot be made or written to."""
    if file_systems.is_url(path):
        return  # which only tells when it is written to
    parent, name = os.path.split(real)
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise UserError(
            f"The name of an output must have at most {_LONGEST_NAME} bytes. Received: {path}"
        )
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        raise UserError(f"The output must lie in a directory. Received: {path}; {parent} is none")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"The output must be writable. Received: {path}; {parent} is read-only")
