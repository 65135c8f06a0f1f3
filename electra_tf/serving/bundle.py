"""A servable model on disk: `DIR/<version>/`, complete or not there at all.

    saved_model.pb, variables/                  the graph and its weights
    assets/vocab.txt                            for clients that send ids; the graph has its own
    assets.extra/tf_serving_warmup_requests     see `warmup`
    model_card.json                             see `model_card`
"""

import json
import os
import shutil
import uuid
from collections.abc import Collection

import tensorflow as tf

from electra_tf.files import write_text
from electra_tf.serving import model_card, warmup
from electra_tf.serving.graph.detector import load_pretrained
from electra_tf.serving.graph.finetuned import is_finetuned, load_finetuned
from electra_tf.train.model_directory import VOCABULARY

# Nobody trains a bundle, and the gradients that our layers define cannot be saved.
_OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
_CONSTANTS = tf.compat.v1.saved_model.signature_constants
# What TensorFlow Serving's RPCs of these names ask for; `tf.saved_model.save` says "predict".
_METHODS = {"classify": _CONSTANTS.CLASSIFY_METHOD_NAME,
            "regress": _CONSTANTS.REGRESS_METHOD_NAME}


def export_run(workdir: str, output: str, version: int | None = None,
               max_seq_length: int | None = None, *, precision: str = "float32",
               include_generator: bool = False, command: str | None = None) -> str:
    """Writes a pre-trained or fine-tuned model as `output`/<version>/.

    The bundle is written under a temporary name in `output`, which TensorFlow Serving ignores,
    and then renamed. A process that is killed leaves at most a `.<hexadecimal>.tmp`, which may
    be deleted.

    Args:
        workdir: of `python -m electra_tf.pretrain` or `finetune`, or a model directory.
        output: directory of all versions of this model; made if missing.
        version: positive; None: one more than the largest there is.
        max_seq_length: tokens of the longest text; None: as many as the model has positions, or
            as in fine-tuning.
        precision: float32, or bfloat16: matrix products in bfloat16, weights and outputs in
            float32.
        include_generator: of a pre-trained model, for the signature `fill_mask`.
        command: for the model card.

    Returns:
        The path of the version.

    Raises:
        ValueError: the run cannot be exported, or the version exists.
    """
    if version is not None:
        if version < 1:
            raise ValueError(f"version must be at least 1. Received: {version}")
        _require_absent(os.path.join(output, str(version)))
    servable = _load(workdir, max_seq_length, precision, include_generator)
    os.makedirs(output, exist_ok=True)
    temporary = os.path.join(output, f".{uuid.uuid4().hex}.tmp")
    try:
        signatures = servable.signatures()
        servable.vocabulary = tf.saved_model.Asset(os.path.join(workdir, VOCABULARY))
        tf.saved_model.save(servable, temporary, signatures=signatures, options=_OPTIONS)
        _name_methods(temporary, _METHODS.keys() & signatures.keys())
        warmup.write(servable, temporary)
        card = model_card.describe(
            workdir, temporary, step=servable.step, max_seq_length=servable.max_seq_length,
            precision=precision, command=command)
        write_text(os.path.join(temporary, model_card.FILE), json.dumps(card, indent=2) + "\n")
        return _publish(temporary, output, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load(workdir: str, max_seq_length: int | None, precision: str, include_generator: bool):
    if not is_finetuned(workdir):
        return load_pretrained(workdir, max_seq_length, precision, include_generator)
    if include_generator:
        raise ValueError("include_generator must be off for a fine-tuned model, which has none. "
                         f"Received: {workdir}")
    return load_finetuned(workdir, max_seq_length, precision)


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
