"""A servable model on disk: `DIR/<version>/`, complete or not there at all.

| file                                      | what it is                                        |
| ----------------------------------------- | ------------------------------------------------- |
| `saved_model.pb`, `variables/`            | the graph and its weights                         |
| `assets/vocab.txt`                        | the tokenizer's files, for clients that send ids  |
| `assets.extra/tf_serving_warmup_requests` | see `serving/warmup.py`                           |
| `model_card.json`                         | see `serving/model_card.py`                       |
"""

import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Collection

import tensorflow as tf
from absl import logging

from electra_tf import file_systems, files
from electra_tf.errors import UserError, room_for
from electra_tf.files import write_text
from electra_tf.saved.finetuned import config_of, is_finetuned
from electra_tf.serving import model_card
from electra_tf.serving.graph.finetuned import load_finetuned
from electra_tf.serving.graph.pretrained import load_pretrained
from electra_tf.text import tokenization

_CONSTANTS = tf.compat.v1.saved_model.signature_constants
# What TensorFlow Serving's RPCs of these names ask for; `tf.saved_model.save` says "predict".
_METHODS = {"classify": _CONSTANTS.CLASSIFY_METHOD_NAME, "regress": _CONSTANTS.REGRESS_METHOD_NAME}

# The files of a bundle, which `overwrite` may replace.
BUNDLE = files.Kind(
    "a bundle",
    model_card.FILE,
    (
        r"(saved_model|fingerprint)\.pb",
        r"variables/variables\.(index|data-\d+-of-\d+)",
        r"assets\.extra/tf_serving_warmup_requests",
        *(rf"assets/{re.escape(name)}" for name in tokenization.ALL_FILES),
    ),
)
_GRAPH = "saved_model.pb"
_LEFTOVER = r"\.[0-9a-f]{32}\.tmp"


def export_run(
    model: str | os.PathLike,
    output: str,
    version: int | None = None,
    max_seq_length: int | None = None,
    *,
    precision: str = "float32",
    include_generator: bool = False,
    command: str | None = None,
    overwrite: bool = False,
) -> str:
    """Writes a pre-trained or fine-tuned model as `output/<version>/`.

    The bundle is written under a temporary name in `output`, which TensorFlow Serving ignores,
    and then renamed. A process that is killed leaves at most a `.<hexadecimal>.tmp`, which the next
    export removes. Where `output` is a URL, the bundle is written to this machine's temporary
    folder, where a killed process leaves it, and then copied: model_card.json first, so that
    `overwrite` may replace an unfinished copy, and saved_model.pb last. A server that finds a
    version without it cannot load it, keeps the one before and tries again.

    Args:
        model: workdir of `electra_tf pretrain` or `finetune`, or a model directory, or what
            `electra_tf.load` gives.
        output: directory of all versions of this model; made if missing.
        version: positive; None: one more than the largest there is.
        max_seq_length: tokens of the longest text; None: as many as the model has positions, or
            as in fine-tuning.
        precision: float32, or bfloat16: matrix products in bfloat16, weights and outputs in
            float32.
        include_generator: of a pre-trained model, for the signature `fill_mask`.
        command: for the model card.
        overwrite: replace the version if it is a bundle and nothing else.

    Returns:
        The path of the version.

    Example:
        >>> electra_tf.export(electra_tf.load("runs/mine"), "serving")
        'serving/1'

    Raises:
        UserError: the run cannot be exported, the version exists, or another export is writing
            to `output`.
    """
    workdir = files.expand(model)
    output = files.workdir(output, [workdir], (), url=True)
    if version is not None and version < 1:
        raise UserError(f"version must be at least 1. Received: {version}")
    files.output(_path(output, version), BUNDLE, overwrite=overwrite, url=True)
    with files.one_writer(output), room_for(output):
        place = output
        if file_systems.is_url(output):
            place = tempfile.gettempdir()
        else:
            files.remove_leftovers(output, _LEFTOVER)
        servable = _load(workdir, max_seq_length, precision, include_generator)
        temporary = os.path.join(place, f".{uuid.uuid4().hex}.tmp")
        try:
            signatures = servable.signatures()
            settings = tokenization.settings_of(config_of(workdir).data)
            paths = tokenization.paths(workdir, settings)
            servable.tokenizer_files = [tf.saved_model.Asset(path) for path in paths.values()]
            tf.saved_model.save(servable, temporary, signatures=signatures)
            _name_methods(temporary, _METHODS.keys() & signatures.keys())
            _write_warmup(servable, temporary)
            card = model_card.describe(
                workdir,
                temporary,
                step=servable.step,
                max_seq_length=servable.max_seq_length,
                precision=precision,
                command=command,
            )
            write_text(os.path.join(temporary, model_card.FILE), json.dumps(card, indent=2) + "\n")
            return _publish(temporary, output, version, BUNDLE if overwrite else None)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_warmup(servable, bundle: str) -> None:
    try:
        from electra_tf.serving import warmup
    except UserError as error:  # an extra is not installed: a server can do without, if slowly
        logging.warning("The bundle has no warm-up requests. %s", error)
    else:
        warmup.write(servable, bundle)


def _load(workdir: str, max_seq_length: int | None, precision: str, include_generator: bool):
    if not is_finetuned(workdir):
        return load_pretrained(workdir, max_seq_length, precision, include_generator)
    if include_generator:
        raise UserError(
            "include_generator must be off for a fine-tuned model, which has none. "
            f"Received: {workdir}"
        )
    return load_finetuned(workdir, max_seq_length, precision)


def _name_methods(bundle: str, signatures: Collection[str]) -> None:
    if signatures:
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(bundle)
        for name in signatures:
            updater.replace_method_name(name, _METHODS[name])
        updater.save()
        os.remove(os.path.join(bundle, "fingerprint.pb"))  # optional, and of the former file


def _publish(temporary: str, output: str, version: int | None, replaced: files.Kind | None) -> str:
    """Renames the bundle; without a number that was asked for it takes the next free one."""
    while True:
        path = _path(output, version)
        if file_systems.is_url(path):
            files.output(path, BUNDLE, overwrite=replaced is not None, url=True)
            _empty(path)
            file_systems.copy_tree(temporary, path, first=model_card.FILE, last=_GRAPH)
            return path
        try:
            files.publish(temporary, path, replaced)
            return path
        except UserError:
            if version is not None:
                raise


def _empty(url: str) -> None:
    """Removes a bundle: the graph first, and not the card, so that what is left counts as one."""
    names = file_systems.files_below(url) if file_systems.is_dir(url) else []
    for name in sorted(names, key=lambda each: each != _GRAPH):
        if name != model_card.FILE:
            file_systems.remove(os.path.join(url, name))


def _path(output: str, version: int | None) -> str:
    return os.path.join(output, str(version or next_version(output)))


def next_version(output: str) -> int:
    """One more than the largest version in a directory; 1 in an empty or missing one."""
    names = file_systems.names(output) if file_systems.is_dir(output) else []
    return 1 + max((int(name) for name in names if name.isdecimal()), default=0)
