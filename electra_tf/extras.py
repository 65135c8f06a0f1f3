"""Packages that only a part of the work needs: setup.py's extras."""

import contextlib
import sys
from collections.abc import Iterator

from electra_tf.errors import UserError


@contextlib.contextmanager
def needed(extra: str) -> Iterator[None]:
    """For the imports of packages of an extra; says how to get what is not installed.

    Raises:
        UserError: one of them is missing.

    Example:
        >>> from electra_tf import extras
        >>> with extras.needed("plots"):
        ...     import matplotlib
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "electra_tf"):
            raise
        raise UserError(
            f"The package {name} must be installed: pip install 'electra_tf[{extra}]'. "
            f"Received: {sys.executable} without it"
        ) from error
