"""Checkpoints of a TrainState: asynchronous, complete or absent, with nothing but numbers."""

import glob
import os
import shutil

import numpy as np
import tensorflow as tf
from absl import logging

from electra_tf.train.state import TrainState

# What TensorFlow makes of a cut-off file.
UNREADABLE = (tf.errors.OpError, IndexError, RuntimeError)
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_LISTED = 20  # names of one kind in an error


class Checkpoints:
    """The directory `checkpoints/` of a run, a `tf.train.CheckpointManager` directory.

    It holds plain variables by name, not Keras objects: those cannot be saved asynchronously
    twice, and their structure would tie the file to the code.

    Args:
        directory: where ckpt-N.index, … and `checkpoint` stand; shared by all workers.
        state: what is saved and restored.
        keep: how many are kept.
        is_chief: whether this process writes.
    """

    def __init__(self, directory: str, state: TrainState, keep: int, is_chief: bool = True):
        self._state, self._is_chief = state, is_chief
        self._checkpoint = tf.train.Checkpoint(variables=state.variables())
        self._manager = tf.train.CheckpointManager(self._checkpoint, directory, max_to_keep=keep)
        self._options = tf.train.CheckpointOptions(enable_async=True)
        self._saved = None

    def restore_latest(self) -> int | None:
        """Loads the newest readable checkpoint; returns its step, or None if there never was one.

        Raises:
            ValueError: there are checkpoints, and none can be read or continued.
        """
        latest = self._manager.latest_checkpoint
        listed = [path for path in self._manager.checkpoints if path != latest]
        listed += [latest] if latest else []
        for path in reversed(listed or self._unlisted()):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except UNREADABLE as error:
                logging.warning("%s cannot be read, trying the one before it: %s", path, error)
                continue
            except AssertionError:
                raise ValueError(
                    "A checkpoint to continue from must have the optimizer's state. Received: "
                    f"{path}, a model without it; start a run of its own with "
                    "--config.init_from=MODEL_DIRECTORY --workdir=NEW") from None
            self._saved = int(self._state.step.numpy())
            break
        if listed and self._saved is None:
            raise ValueError(f"A checkpoint must be readable; remove them to start from step 0. "
                             f"Received: {len(listed)} unreadable in {self._manager.directory}")
        if self._is_chief:
            self._remove_leftovers()
        return self._saved

    def save(self) -> None:
        """Starts writing the present state; returns as soon as it is copied to the host."""
        step = int(self._state.step.numpy())
        if step == self._saved or not self._is_chief:
            return
        self._manager.save(checkpoint_number=step, options=self._options)
        self._saved = step

    def wait(self) -> None:
        """Returns once everything is on disk."""
        self._checkpoint.sync()

    def _unlisted(self):
        """Checkpoints by age, for when the file `checkpoint` is lost or not yet written."""
        return [path.removesuffix(".index")
                for path in sorted(self._matching("ckpt-*.index"), key=os.path.getmtime)]

    def _remove_leftovers(self):
        """Removes what a killed save or clean-up has left: parts of a checkpoint."""
        for folder in self._matching("ckpt-*_temp"):
            shutil.rmtree(folder, ignore_errors=True)
        indices = {path.removesuffix(".index") for path in self._matching("ckpt-*.index")}
        data = {path: path.rsplit(".data-", 1)[0] for path in self._matching("ckpt-*.data-*")}
        for path in [*self._matching("checkpoint.tmp*"),
                     *(path for path, name in data.items() if name not in indices),
                     *(f"{name}.index" for name in indices - set(data.values()))]:
            os.remove(path)

    def _matching(self, pattern):
        return glob.glob(os.path.join(glob.escape(self._manager.directory), pattern))


class SavedWeights:
    """Weights of the newest checkpoint, without optimizer slots: for everything but training.

    Attributes:
        step: of the checkpoint.
        shapes: shape of every weight, by variable path.

    Args:
        directory: a `checkpoints/` directory.

    Raises:
        ValueError: there is no checkpoint, or it cannot be read.
    """

    def __init__(self, directory: str):
        self._path = tf.train.latest_checkpoint(directory)
        if self._path is None:
            raise ValueError(f"There must be a checkpoint, which training and conversion write. "
                             f"Received: {directory}, which has none")
        self._reader = self._guarded(tf.train.load_checkpoint, self._path)
        self.step = int(self._read("step"))
        names = {name: tuple(shape)
                 for name, shape in self._reader.get_variable_to_shape_map().items()}
        prefix, suffix = _key("weights/").removesuffix(_SUFFIX), _SUFFIX
        self.shapes = {name.removeprefix(prefix).removesuffix(suffix).replace(".S", "/"): shape
                       for name, shape in names.items()
                       if name.startswith(prefix) and name.endswith(suffix)}

    def read(self, path: str) -> np.ndarray:
        """One weight by its variable path."""
        return self._read(f"weights/{path}")

    def assign(self, weights: dict[str, tf.Variable]) -> int:
        """Fills variables, all or none, and returns the step.

        Args:
            weights: by path; the checkpoint may hold more.

        Raises:
            ValueError: some are missing or have another shape; lists them.
        """
        compare_shapes({path: tuple(weight.shape) for path, weight in weights.items()},
                       {path: shape for path, shape in self.shapes.items() if path in weights},
                       self._path)
        for path, weight in weights.items():
            weight.assign(self.read(path))
        return self.step

    def _read(self, name):
        return self._guarded(self._reader.get_tensor, _key(name))

    def _guarded(self, function, *args):
        try:
            return function(*args)
        except UNREADABLE as error:
            raise ValueError(f"A checkpoint must be complete and readable. Received: {self._path} "
                             f"({str(error).splitlines()[0]})") from None


def compare_shapes(expected: dict[str, tuple], received: dict[str, tuple], source: str) -> None:
    """Raises ValueError listing the names that are missing, extra, or of another shape.

    Args:
        expected, received: shapes by name.
        source: what was read, for the message.
    """
    problems = {
        "missing": [f"{name} {_text(shape)}" for name, shape in expected.items()
                    if name not in received],
        "extra": [f"{name} {_text(shape)}" for name, shape in received.items()
                  if name not in expected],
        "of another shape": [
            f"{name} {_text(received[name])} instead of {_text(shape)}"
            for name, shape in expected.items()
            if name in received and tuple(received[name]) != tuple(shape)]}
    told = [f"{len(names)} {what}: {', '.join(names[:_LISTED])}"
            + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
            for what, names in problems.items() if names]
    if told:
        raise ValueError(f"Tensors must be those of the model, by name and shape. Received: "
                         f"{source} with {'; '.join(told)}")


def _text(shape):
    return f"[{', '.join(map(str, shape))}]"


def _key(name):
    """A variable's name in the file, as tf.train.Checkpoint writes the entries of a dict."""
    return "variables/" + name.replace("/", ".S") + _SUFFIX
