"""How every command line starts and ends: quiet start, one-line errors, exit codes."""

import atexit
import contextlib
import importlib.util
import logging as standard_logging
import os
import re
import sys
import tempfile

from absl import app, flags, logging

# What TensorFlow's C++ side says on every start, whatever the log level.
_BANNER = re.compile(r"[IWE]0000 |WARNING: All log messages before absl::InitializeLog"
                     r"|To enable the following instructions:")
_NEWS = re.compile(r"[WE]0000 (?!.*cuInit)")  # of these, what a user should see


def run(main, tensorflow: bool = True) -> None:
    """Runs an absl main. User errors become one line on stderr and exit code 1.

    A run stopped by a signal exits with 128 + its number, as shells do.

    Args:
        main: function of the arguments that are not flags.
        tensorflow: whether main needs TensorFlow, which is then imported without its banners.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    app.run(lambda argv: _leave(_guarded(_start, main, tensorflow, argv)), flags_parser=_parse)


def no_arguments(argv) -> None:
    """Raises ValueError if anything but flags was given."""
    if argv[1:]:
        raise ValueError(f"Only flags are accepted. Received: {' '.join(argv[1:])}")


def require_package(name: str, how: str) -> None:
    """Raises ValueError where an optional package is not installed; `how` says how to get it."""
    if importlib.util.find_spec(name) is None:
        raise ValueError(f"The package {name} must be installed: {how}. Received: {sys.executable} "
                         "without it")


def _parse(argv):
    """Parses the flags; what is wrong with them is a user error, too."""
    def parse():
        try:
            return flags.FLAGS(argv)
        except (flags.Error, IndexError, TypeError) as error:
            raise ValueError(str(error)) from error
        except (AttributeError, KeyError) as error:
            raise ValueError(
                "A --config flag must name a section and a field of electra_tf/config.py, in "
                "fine-tuning of electra_tf/finetune_config.py. "
                f"Received: {error.args[0]}") from error

    arguments = []
    code = _guarded(lambda: arguments.extend(parse()))
    if code:
        sys.exit(code)
    return arguments


def _start(main, tensorflow, argv):
    if tensorflow:
        with _without_banner():
            import tensorflow as tf
            tf.config.list_physical_devices()  # wakes the GPU's libraries, or misses them
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    logging.get_absl_handler().setFormatter(
        standard_logging.Formatter("%(levelname)s: %(message)s"))
    main(argv)


@contextlib.contextmanager
def _without_banner():
    """Holds back what is written to stderr, also by C++, and then shows what is news."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if _NEWS.match(line) or not _BANNER.match(line):
                    print(line, file=sys.stderr)


def _leave(code):
    """Ends the process at once: to take a traced model apart would need seconds."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _guarded(function, *arguments) -> int:
    try:
        function(*arguments)
    except (ValueError, FloatingPointError, OSError) as error:
        if os.environ.get("ELECTRA_TF_TRACEBACK"):
            raise
        message = " ".join(str(error).split())
        print(f"error: {message}", file=sys.stderr)
        return 1
    except Exception as error:
        signum = getattr(error, "signum", None)  # train.signals.Interrupted, without its import
        if signum is None:
            raise
        return 128 + signum
    return 0
