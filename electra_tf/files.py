"""Files and directories that are complete or not there at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator


def write_text(path: str, text: str) -> None:
    """Writes a UTF-8 file, complete or not at all; makes its directory."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(path + ".tmp", path)


@contextlib.contextmanager
def new_directory(path: str) -> Iterator[str]:
    """A folder to write into, which becomes `path` at the end of the block if all went well.

    Raises:
        ValueError: `path` is a file or a folder that is not empty.
    """
    require_new(path)
    path = os.path.abspath(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    folder = tempfile.mkdtemp(dir=os.path.dirname(path),
                              prefix=f".{os.path.basename(path)}.", suffix=".tmp")
    try:
        yield folder
        os.chmod(folder, 0o777 & ~_umask())  # mkdtemp makes it private
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_new(path: str) -> None:
    """Raises ValueError if there is something at `path` other than an empty folder."""
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise ValueError(f"The output must be a new or an empty directory. Received: {path}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
