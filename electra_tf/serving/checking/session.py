"""A bundle loaded and called as TensorFlow Serving does it: a session, tensors by name."""

import logging
from typing import Self

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)

from electra_tf.errors import UserError
from electra_tf.serving.checking.contents import Bundle
from electra_tf.serving.checking.requests import Request
from electra_tf.serving.error_lines import reason


class ServingSession:
    """A session of a bundle; a context manager.

    Raises:
        UserError: it cannot be loaded; says why in one line.
    """

    def __init__(self, bundle: Bundle):
        graph = tf.Graph()
        self._bundle = bundle
        self._session = tf.compat.v1.Session(graph=graph)
        kept = logging.getLogger("tensorflow").level
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it calls this way outdated
        try:
            with graph.as_default():
                tf.compat.v1.saved_model.load(self._session, ["serve"], bundle.path)
        except (tf.errors.OpError, IndexError, OSError, RuntimeError, ValueError) as error:
            self._session.close()
            raise UserError(f"cannot be loaded: {reason(error)}") from None
        finally:
            logging.getLogger("tensorflow").setLevel(kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._session.close()

    def answer(self, request: Request) -> dict[str, np.ndarray]:
        """Outputs by name; strings as object arrays of bytes.

        Raises:
            UserError: the graph fails on it; says why in one line.
        """
        signature = self._bundle.signatures[request.signature]
        try:
            return self._session.run(
                {name: info.name for name, info in signature.outputs.items()},
                {info.name: request.inputs[name] for name, info in signature.inputs.items()},
            )
        except (tf.errors.OpError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{request} has no answer: {reason(error)}") from None


def answer_problem(bundle: Bundle, request: Request, answers: dict[str, np.ndarray]) -> str | None:
    """What is wrong with the shape or the numbers of an answer, in words."""
    rows = {len(values) for values in request.inputs.values()}
    for name, info in bundle.signatures[request.signature].outputs.items():
        values, dtype = answers[name], tf.dtypes.as_dtype(info.dtype)
        if values.dtype != dtype.as_numpy_dtype:
            return f"{name} must be {dtype.name} (received: {values.dtype})"
        if {len(values)} != rows or values.ndim != len(info.tensor_shape.dim):
            return f"{name} must have a row for each input (received: {list(values.shape)})"
        if dtype.is_floating and not np.isfinite(values).all():
            return f"{name} must be finite (received: {values[~np.isfinite(values)][0]})"
    return None
