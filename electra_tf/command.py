"""How every command line starts and ends: quiet start, one-line errors, exit codes."""

import os
import sys

from absl import app


def run(main) -> None:
    """Runs an absl main. User errors become one line on stderr and exit code 1.

    A run stopped by a signal exits with 128 + its number, as shells do.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(lambda argv: sys.exit(_guarded(main, argv)))


def no_arguments(argv) -> None:
    """Raises ValueError if anything but flags was given."""
    if argv[1:]:
        raise ValueError(f"Only flags are accepted. Received: {' '.join(argv[1:])}")


def _guarded(main, argv) -> int:
    try:
        main(argv)
    except (ValueError, FloatingPointError, FileNotFoundError) as error:
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
