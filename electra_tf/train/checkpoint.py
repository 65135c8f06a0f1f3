"""Checkpoints of a TrainState: asynchronous, complete or absent, with nothing but numbers."""

import glob
import os
import shutil

import tensorflow as tf
from absl import logging

from electra_tf.train.state import TrainState

_UNREADABLE = (tf.errors.OpError, IndexError)  # what TensorFlow makes of a cut-off file


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

    def restore_latest(self) -> int:
        """Loads the newest readable checkpoint and returns its step; 0 if there never was one.

        Raises:
            ValueError: there are checkpoints, and none can be read.
        """
        latest = self._manager.latest_checkpoint
        listed = [path for path in self._manager.checkpoints if path != latest]
        listed += [latest] if latest else []
        for path in reversed(listed or self._unlisted()):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except _UNREADABLE as error:
                logging.warning("%s cannot be read, trying the one before it: %s", path, error)
                continue
            self._saved = int(self._state.step.numpy())
            break
        if listed and self._saved is None:
            raise ValueError(f"A checkpoint must be readable; remove them to start from step 0. "
                             f"Received: {len(listed)} unreadable in {self._manager.directory}")
        if self._is_chief:
            self._remove_leftovers()
        return self._saved or 0

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


def restore_weights(directory: str, weights: dict[str, tf.Variable]) -> int:
    """Loads trained weights only (no slots), for evaluation and export.

    Args:
        directory: a `checkpoints/` directory.
        weights: variables by path.

    Returns:
        The checkpoint's step.

    Raises:
        ValueError: there is no checkpoint.
    """
    path = tf.train.latest_checkpoint(directory)
    if path is None:
        raise ValueError(f"There must be a checkpoint, which training writes. "
                         f"Received: {directory}, which has none")
    step = tf.Variable(0, dtype=tf.int64)
    named = {f"weights/{name}": weight for name, weight in weights.items()} | {"step": step}
    status = tf.train.Checkpoint(variables=named).restore(path)
    status.assert_existing_objects_matched()
    status.expect_partial()
    return int(step.numpy())
