"""What native libraries write to stderr, held back."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# What TensorFlow's C++ side says on every start, whatever the log level.
_BANNER = re.compile(
    r"[IWE]0000 |WARNING: All log messages before absl::InitializeLog"
    r"|To enable the following instructions:"
)
_NEWS = re.compile(r"[WE]0000 (?!.*cuInit)")  # of these, what a user should see


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Drops all that is written to stderr, also by C++."""
    with open(os.devnull, "wb") as nowhere, _redirected(nowhere):
        yield


def import_tensorflow() -> None:
    """Imports TensorFlow without its banners, and wakes the GPU's libraries, or misses them."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with without_banner():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def without_banner() -> Iterator[None]:
    """Holds back what is written to stderr, also by C++, and then shows what is news."""
    with tempfile.TemporaryFile() as held:
        try:
            with _redirected(held):
                yield
        finally:
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if is_news(line):
                    print(line, file=sys.stderr)


def is_news(line: str) -> bool:
    """Whether a line that was written to stderr is more than a banner of TensorFlow."""
    return bool(_NEWS.match(line)) or not _BANNER.match(line)


@contextlib.contextmanager
def _redirected(file) -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
