"""A servable model on disk: `DIR/<version>/`, complete or not there at all."""

import os
import shutil
import uuid

import tensorflow as tf

from electra_tf.serving.detector import load_detector

# Nobody trains a bundle, and the gradients that our layers define cannot be saved.
_OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)


def export_run(workdir: str, output: str, version: int | None = None,
               max_seq_length: int | None = None) -> str:
    """Writes the discriminator of a pre-training run as `output`/<version>/.

    The bundle is written under a temporary name in `output`, which TensorFlow Serving ignores,
    and then renamed.

    Args:
        workdir: of `python -m electra_tf.pretrain`.
        output: directory of all versions of this model; made if missing.
        version: positive; None: one more than the largest there is.
        max_seq_length: tokens of the longest text; None: as many as the model has positions.

    Returns:
        The path of the version.

    Raises:
        ValueError: the run cannot be exported, or the version exists.
    """
    if version is not None:
        if version < 1:
            raise ValueError(f"version must be at least 1. Received: {version}")
        _require_absent(os.path.join(output, str(version)))
    detector = load_detector(workdir, max_seq_length)
    os.makedirs(output, exist_ok=True)
    temporary = os.path.join(output, f".{uuid.uuid4().hex}.tmp")
    try:
        tf.saved_model.save(detector, temporary, signatures=detector.signatures(), options=_OPTIONS)
        return _publish(temporary, output, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: str, output: str, version: int | None) -> str:
    """Renames the bundle; of two exports at once each gets a version of its own."""
    while True:
        path = os.path.join(output, str(version or next_version(output)))
        try:
            os.rename(temporary, path)  # fails if the other one was quicker: it is not empty
            return path
        except OSError:
            if not os.path.exists(path):
                raise
            if version is not None:
                _require_absent(path)


def next_version(output: str) -> int:
    """One more than the largest version in a directory; 1 in an empty or missing one."""
    names = os.listdir(output) if os.path.isdir(output) else []
    return 1 + max((int(name) for name in names if name.isdecimal()), default=0)


def _require_absent(path: str) -> None:
    if os.path.exists(path):
        raise ValueError(f"A version must not exist yet. Received: {path}; choose another "
                         "--version, or none for the next free one")
