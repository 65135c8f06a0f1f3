"""A servable model on disk: `DIR/<version>/`, complete or not there at all."""

import os
import shutil
import uuid
from collections.abc import Collection

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from electra_tf.serving.detector import load_detector
from electra_tf.serving.finetuned import is_finetuned, load_finetuned

# Nobody trains a bundle, and the gradients that our layers define cannot be saved.
_OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
_CONSTANTS = tf.compat.v1.saved_model.signature_constants
# What TensorFlow Serving's RPCs of these names ask for; `tf.saved_model.save` says "predict".
_METHODS = {"classify": _CONSTANTS.CLASSIFY_METHOD_NAME,
            "regress": _CONSTANTS.REGRESS_METHOD_NAME}


def export_run(workdir: str, output: str, version: int | None = None,
               max_seq_length: int | None = None) -> str:
    """Writes a run's discriminator or fine-tuned model as `output`/<version>/.

    The bundle is written under a temporary name in `output`, which TensorFlow Serving ignores,
    and then renamed.

    Args:
        workdir: of `python -m electra_tf.pretrain` or `finetune`, or a model directory.
        output: directory of all versions of this model; made if missing.
        version: positive; None: one more than the largest there is.
        max_seq_length: tokens of the longest text; None: as many as the model has positions, or
            as in fine-tuning.

    Returns:
        The path of the version.

    Raises:
        ValueError: the run cannot be exported, or the version exists.
    """
    if version is not None:
        if version < 1:
            raise ValueError(f"version must be at least 1. Received: {version}")
        _require_absent(os.path.join(output, str(version)))
    load = load_finetuned if is_finetuned(workdir) else load_detector
    servable = load(workdir, max_seq_length)
    os.makedirs(output, exist_ok=True)
    temporary = os.path.join(output, f".{uuid.uuid4().hex}.tmp")
    try:
        signatures = servable.signatures()
        tf.saved_model.save(servable, temporary, signatures=signatures, options=_OPTIONS)
        _name_methods(temporary, _METHODS.keys() & signatures.keys())
        return _publish(temporary, output, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def inputs_of(path: str) -> dict[str, list[str]]:
    """Names of the inputs of each signature of a bundle, sorted."""
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        (graph,) = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs
    return {name: sorted(signature.inputs)
            for name, signature in sorted(graph.signature_def.items())
            if not name.startswith("__")}  # TensorFlow's own


def _name_methods(bundle: str, signatures: Collection[str]) -> None:
    if signatures:
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(bundle)
        for name in signatures:
            updater.replace_method_name(name, _METHODS[name])
        updater.save()
        os.remove(os.path.join(bundle, "fingerprint.pb"))  # optional, and of the former file


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
