"""The weights of a checkpoint, by variable path."""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import logging

from electra_tf import file_systems
from electra_tf.errors import UserError
from electra_tf.train.checkpoint import UNREADABLE
from electra_tf.train.state import AVERAGES, WEIGHTS

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_LISTED = 20  # names of one kind in an error


class SavedWeights:
    """Weights of the newest checkpoint, without optimizer slots: for everything but training.

    Where a run keeps averages of its weights, they are these.

    Attributes:
        step: of the checkpoint.
        shapes: shape of every weight, by variable path.

    Args:
        directory: a `checkpoints/` directory.
        path: of one of its checkpoints, in place of the newest.

    Raises:
        UserError: there is no checkpoint, or it cannot be read.
    """

    def __init__(self, directory: str, path: str | None = None):
        path = path or next(reversed(_all(directory)), None)
        if path is None:
            raise UserError(
                f"There must be a checkpoint, which training and conversion write. "
                f"Received: {directory}, which has none"
            )
        self._path: str = path
        self._reader = self._guarded(tf.compat.v1.train.NewCheckpointReader, path)
        self.step = int(self._read("step"))
        names = {
            name: tuple(shape) for name, shape in self._reader.get_variable_to_shape_map().items()
        }
        self._kind = AVERAGES
        self.shapes = _shapes(names, AVERAGES)
        if not self.shapes:
            self._kind, self.shapes = WEIGHTS, _shapes(names, WEIGHTS)

    def read(self, path: str) -> np.ndarray:
        """One weight by its variable path, float32 whatever the file has."""
        return self._read(f"{self._kind}{path}").astype(np.float32, copy=False)

    def assign(
        self, weights: dict[str, tf.Variable], instead: Mapping[str, np.ndarray] | None = None
    ) -> int:
        """Fills variables, all or none, and returns the step.

        Args:
            weights: by path; the checkpoint may hold more.
            instead: what to take for some of them in place of what the checkpoint holds.

        Raises:
            UserError: some are missing or have another shape; lists them.
        """
        instead = instead or {}
        shapes = {**self.shapes, **{path: value.shape for path, value in instead.items()}}
        compare_shapes(
            {path: tuple(weight.shape) for path, weight in weights.items()},
            {path: shape for path, shape in shapes.items() if path in weights},
            self._path,
        )
        for path, weight in weights.items():
            weight.assign(instead[path] if path in instead else self.read(path))
        return self.step

    def _read(self, name):
        return self._guarded(self._reader.get_tensor, _key(name))

    def _guarded(self, function, *args):
        try:
            return function(*args)
        except UNREADABLE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UserError(
                f"A checkpoint must be complete and readable. Received: {self._path} ({reason})"
            ) from None


def mean(directory: str, number: int) -> dict[str, np.ndarray]:
    """Means of the weights over a run's newest checkpoints, float32 by variable path.

    Args:
        directory: a `checkpoints/` directory.
        number: of checkpoints, all with the same weights.

    Raises:
        UserError: there are fewer, or one cannot be read.
    """
    paths = _all(directory)[-number:]
    if len(paths) < number:
        raise UserError(
            f"There must be {number} checkpoints to average; config.train.keep_checkpoints keeps "
            f"that many. Received: {directory} with {len(paths)}"
        )
    saved = [SavedWeights(directory, path) for path in paths]
    return {
        path: np.asarray(np.mean([each.read(path) for each in saved], 0, np.float64), np.float32)
        for path in saved[-1].shapes
    }


def compare_shapes(expected: dict[str, tuple], received: dict[str, tuple], source: str) -> None:
    """Raises UserError listing the names that are missing, extra, or of another shape.

    Args:
        expected, received: shapes by name.
        source: what was read, for the message.
    """
    problems = {
        "missing": [
            f"{name} {_text(shape)}" for name, shape in expected.items() if name not in received
        ],
        "extra": [
            f"{name} {_text(shape)}" for name, shape in received.items() if name not in expected
        ],
        "of another shape": [
            f"{name} {_text(received[name])} instead of {_text(shape)}"
            for name, shape in expected.items()
            if name in received and tuple(received[name]) != tuple(shape)
        ],
    }
    told = [
        f"{len(names)} {what}: {', '.join(names[:_LISTED])}"
        + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        for what, names in problems.items()
        if names
    ]
    if told:
        raise UserError(
            f"Tensors must be those of the model, by name and shape. Received: "
            f"{source} with {'; '.join(told)}"
        )


def _all(directory: str) -> list[str]:
    """All checkpoints, the newest last: by the file `checkpoint`, or without it by their steps."""
    try:
        newest, state = tf.train.latest_checkpoint(directory), None
        if newest is not None:
            state = tf.train.get_checkpoint_state(directory)
    except ValueError:  # the file is empty, or no text
        newest = state = None
    if newest is not None:
        listed = list(state.all_model_checkpoint_paths) if state else []
        return [*(path for path in listed if path != newest), newest]
    found = {}
    for name in file_systems.matching(directory, "ckpt-*.index"):
        step = name.removesuffix(".index").rpartition("-")[2]
        if step.isdecimal():
            found[int(step)] = name.removesuffix(".index")
    paths = [found[step] for step in sorted(found)]
    if paths:
        logging.warning(
            "%s lacks the file `checkpoint`, which names the newest: %s is read",
            directory,
            os.path.basename(paths[-1]),
        )
    return paths


def _shapes(names, kind):
    """Shapes of the weights, or of their averages, by variable path."""
    prefix = _key(kind).removesuffix(_SUFFIX)
    return {
        name.removeprefix(prefix).removesuffix(_SUFFIX).replace(".S", "/"): shape
        for name, shape in names.items()
        if name.startswith(prefix) and name.endswith(_SUFFIX)
    }


def _text(shape):
    return f"[{', '.join(map(str, shape))}]"


def _key(name):
    """A variable's name in the file, as tf.train.Checkpoint writes the entries of a dict."""
    return "variables/" + name.replace("/", ".S") + _SUFFIX
