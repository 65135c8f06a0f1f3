"""Checkpoints of a TrainState: asynchronous, complete or absent, with nothing but numbers."""

import glob
import os
import shutil

import tensorflow as tf

from electra_tf.train.state import TrainState


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
        """Loads the newest checkpoint and returns its step; 0 and nothing loaded without one."""
        if self._is_chief:
            for leftover in glob.glob(os.path.join(self._manager.directory, "*_temp")):
                shutil.rmtree(leftover, ignore_errors=True)  # a killed run's unfinished save
        path = self._manager.latest_checkpoint
        if path is None:
            return 0
        self._checkpoint.restore(path).assert_existing_objects_matched()
        self._saved = int(self._state.step.numpy())
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
