"""Checkpoints of a TrainState: asynchronous, complete or absent, with nothing but numbers."""

import contextlib
import os

import tensorflow as tf
from absl import logging

from electra_tf import file_systems
from electra_tf.errors import UserError, lack_of_room
from electra_tf.train.state import TrainState

# What TensorFlow makes of a cut-off file.
UNREADABLE = (tf.errors.OpError, IndexError, RuntimeError)


class Checkpoints:
    """The directory `checkpoints/` of a run, a `tf.train.CheckpointManager` directory.

    It holds plain variables by name, not Keras objects: those cannot be saved asynchronously
    twice, and their structure would tie the file to the code.

    Args:
        directory: where ckpt-N.index, … and `checkpoint` stand; shared by all workers.
        state: what is saved and restored.
        keep: how many are kept.
        is_chief: whether this process writes.

    Raises:
        UserError: the file `checkpoint` is damaged.
    """

    def __init__(self, directory: str, state: TrainState, keep: int, is_chief: bool = True):
        self._state, self._is_chief = state, is_chief
        self._checkpoint = tf.train.Checkpoint(variables=state.variables())
        try:
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, directory, max_to_keep=keep
            )
        except ValueError:
            raise UserError(
                "The file `checkpoint` must be text. Received: "
                f"{os.path.join(directory, 'checkpoint')}, which is damaged; remove it, and the "
                "newest checkpoint is found without it"
            ) from None
        self._options = tf.train.CheckpointOptions(enable_async=True)
        self._saved = None

    def restore_latest(self) -> int | None:
        """Loads the newest readable checkpoint; returns its step, or None if there never was one.

        Raises:
            UserError: there are checkpoints, and none can be read or continued.
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
                raise UserError(
                    "A checkpoint to continue from must have the optimizer's state. Received: "
                    f"{path}, a model without it or of another optimizer; start a run of its own "
                    "with --config.init_from=MODEL_DIRECTORY --workdir=NEW"
                ) from None
            self._saved = int(self._state.step.numpy())
            break
        if listed and self._saved is None:
            raise UserError(
                f"A checkpoint must be readable; remove them to start from step 0. "
                f"Received: {len(listed)} unreadable in {self._manager.directory}"
            )
        if self._is_chief:
            self._remove_leftovers()
        return self._saved

    def save(self) -> None:
        """Starts writing the present state; returns as soon as it is copied to the host."""
        step = int(self._state.step.numpy())
        if step == self._saved or not self._is_chief:
            return
        self.wait()  # as `save` would, but it logs the error of the save before
        with self._room():
            self._manager.save(checkpoint_number=step, options=self._options)
        self._saved = step

    def wait(self) -> None:
        """Returns once everything is on disk; raises UserError if that is full."""
        with self._room():
            self._checkpoint.sync()
            # TensorFlow keeps the error of a save for the next one, which may never come.
            saving = getattr(self._checkpoint, "_async_checkpointer_impl", None)
            error = getattr(saving, "_async_error", None)
            if error is not None:
                saving._async_error = None  # pyright: ignore[reportOptionalMemberAccess] it has one
                raise error

    @contextlib.contextmanager
    def _room(self):
        """Tells in one line that a disk is full, and removes what was written of a checkpoint."""
        try:
            yield
        except Exception as error:
            reason = lack_of_room(error)
            if reason is None:
                raise
            self._remove_leftovers()
            latest = self._manager.latest_checkpoint
            raise UserError(
                f"There must be room for a checkpoint. Received: {self._manager.directory} "
                f"({reason}); the same command goes on from "
                f"{os.path.basename(latest) if latest else 'step 0'}"
            ) from error

    def _unlisted(self):
        """Checkpoints by age, for when the file `checkpoint` is lost or not yet written."""
        return [
            path.removesuffix(".index") for path in sorted(self._matching("ckpt-*.index"), key=_age)
        ]

    def _remove_leftovers(self):
        """Removes what a killed save or clean-up has left: parts of a checkpoint."""
        for folder in self._matching("ckpt-*_temp"):
            file_systems.remove_tree(folder)
        indices = {path.removesuffix(".index") for path in self._matching("ckpt-*.index")}
        data = {path: path.rsplit(".data-", 1)[0] for path in self._matching("ckpt-*.data-*")}
        for path in [
            *self._matching("checkpoint.tmp*"),
            *(path for path, name in data.items() if name not in indices),
            *(f"{name}.index" for name in indices - set(data.values())),
        ]:
            file_systems.remove(path)

    def _matching(self, pattern):
        return file_systems.matching(self._manager.directory, pattern)


def _age(path: str) -> tuple[float, int]:
    """What sorts checkpoints by age: their times, and where a file system has none, their steps."""
    step = path.removesuffix(".index").rpartition("-")[2]
    return file_systems.modified(path), int(step) if step.isdecimal() else 0
