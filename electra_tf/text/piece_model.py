"""The file of a SentencePiece model, `spiece.model`: read, checked and written without TensorFlow.

It is a message of protocol buffers, sentencepiece_model.proto of github.com/google/sentencepiece.
Only the fields that matter here are declared; the others are kept as they are.

The op reads some parts without looking at their bounds, so what a damaged file could make it read
beyond is checked first.
"""

import functools
import math
from collections import Counter
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from electra_tf.errors import UserError

# Types of a piece and of a model.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2
_MODEL_TYPES = {UNIGRAM: "unigram", BPE: "bpe"}
_MAX_PIECE_BYTES = 1024
_PACKAGE = "electra_tf.sentencepiece"
_FIELD = descriptor_pb2.FieldDescriptorProto
_BOOL, _BYTES, _FLOAT, _INT = (
    _FIELD.TYPE_BOOL,
    _FIELD.TYPE_BYTES,
    _FIELD.TYPE_FLOAT,
    _FIELD.TYPE_INT32,
)
# Of each message its fields: name, number, type or message, default; repeated ones have None.
_MESSAGES: dict[str, tuple[tuple[str, int, Any, str | None], ...]] = {
    "Piece": (("piece", 1, _BYTES, ""), ("score", 2, _FLOAT, "0"), ("type", 3, _INT, "1")),
    "Trainer": (
        ("model_type", 3, _INT, "1"),
        ("treat_whitespace_as_suffix", 24, _BOOL, "false"),
        ("byte_fallback", 35, _BOOL, "false"),
    ),
    "Normalizer": (
        ("name", 1, _BYTES, ""),
        ("precompiled_charsmap", 2, _BYTES, ""),
        ("add_dummy_prefix", 3, _BOOL, "true"),
        ("remove_extra_whitespaces", 4, _BOOL, "true"),
        ("escape_whitespaces", 5, _BOOL, "true"),
    ),
    "Model": (
        ("pieces", 1, "Piece", None),
        ("trainer_spec", 2, "Trainer", ""),
        ("normalizer_spec", 3, "Normalizer", ""),
    ),
}


def parse(content: bytes, source: str) -> Any:
    """The message of a file's content.

    Returns:
        A `Model` with the fields of _MESSAGES; `piece`, `name` and the map are bytes.

    Raises:
        UserError: it is none, or one that the op cannot take or that has no words.
    """
    model = _message_class()()
    try:
        model.ParseFromString(content)
    except (message.DecodeError, RecursionError):
        model = None
    if model is None or not model.pieces:
        raise UserError(
            "A SentencePiece model must be a file that sentencepiece's trainer has written, such "
            f"as spiece.model. Received: {source}, {len(content):,} bytes of something else; learn "
            "one: electra_tf learn_vocab --kind=sentencepiece"
        )
    fault = _fault(model)
    if fault:
        raise UserError(
            f"A SentencePiece model must {fault[0]}. Received: {source} with {fault[1]}"
        )
    return model


def with_types(model: Any, types: dict[int, int]) -> bytes:
    """The content of a file with other types for some pieces, by their ids."""
    changed = _message_class()()
    changed.CopyFrom(model)
    for number, kind in types.items():
        changed.pieces[number].type = kind
    return changed.SerializeToString(deterministic=True)


def with_prefix(content: bytes, prefix: bool) -> bytes:
    """The content of a file that puts a blank before texts, or none."""
    model = _message_class().FromString(content)
    model.normalizer_spec.add_dummy_prefix = prefix
    return model.SerializeToString(deterministic=True)


@functools.cache
def _message_class() -> type:
    file = descriptor_pb2.FileDescriptorProto(
        name="electra_tf/sentencepiece.proto", package=_PACKAGE, syntax="proto2"
    )
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field, number, kind, default in fields:
            label = _FIELD.LABEL_OPTIONAL if default is not None else _FIELD.LABEL_REPEATED
            added = described.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                added.type = kind
                if default:
                    added.default_value = default
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))


def _fault(model) -> tuple[str, str] | None:
    """What a model must be or have, and what it has instead."""
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    if trainer.model_type not in _MODEL_TYPES:
        kinds = " or ".join(_MODEL_TYPES.values())
        return f"be of the type {kinds}", f"type {trainer.model_type}"
    if trainer.treat_whitespace_as_suffix:
        return "have the mark of a blank before a word", "treat_whitespace_as_suffix"
    if not normalizer.escape_whitespaces:
        return "have the mark of a blank before a word", "escape_whitespaces=false"
    for number, piece in enumerate(model.pieces):
        text = piece.piece
        try:
            text.decode()
        except UnicodeDecodeError:
            return "have pieces of UTF-8", f"{text!r:.60}, number {number}"
        if not text or b"\0" in text or len(text) > _MAX_PIECE_BYTES:
            rule = f"have pieces of 1 to {_MAX_PIECE_BYTES} bytes, none of them NUL"
            return rule, f"{text!r:.60}, number {number}"
        if not NORMAL <= piece.type <= BYTE:
            return "have pieces of its six types", f"type {piece.type} of {text!r:.60}"
        if not math.isfinite(piece.score):
            return "have finite scores", f"{piece.score} of {text!r:.60}"
    [(most, count)] = Counter(piece.piece for piece in model.pieces).most_common(1)
    if count > 1:
        return "have every piece once", f"{most.decode()!r:.60} {count} times"
    unknown = [piece.piece.decode() for piece in model.pieces if piece.type == UNKNOWN]
    if len(unknown) != 1:
        return "have one unknown piece", f"{len(unknown)}: {', '.join(unknown):.60}"
    if not any(piece.type in (NORMAL, USER_DEFINED) for piece in model.pieces):
        return "have pieces of text", f"{len(model.pieces)} others alone"
    if not _is_map(normalizer.precompiled_charsmap):
        return "have an undamaged table of normalized characters", "a damaged one"
    return None


def _is_map(content: bytes) -> bool:
    """Whether all that the op can reach in a table of characters lies in it.

    The table is the size of a double-array trie in bytes, the trie, whose units have 4 bytes, and
    texts that end with NUL. A lookup goes from a unit to the unit `its index ^ its offset ^ byte`.
    """
    if not content:
        return True  # nothing is normalized
    size = int.from_bytes(content[:4], "little")
    texts = content[4 + size :]
    if len(content) < 4 or size % 4 or not size or not texts.endswith(b"\0"):
        return False
    units = np.frombuffer(content, "<u4", size // 4, 4).astype(np.int64)
    is_value = units >> 31 > 0  # and no byte leads to it
    is_value[0] = False  # where every lookup begins
    offsets = (units >> 10) << ((units & 0x200) >> 6)
    targets = np.arange(len(units)) ^ offsets
    if ((targets | 0xFF) >= len(units))[~is_value].any():
        return False
    leaves = targets[~is_value & (units & 0x100 > 0)]
    values = units[leaves] & 0x7FFFFFFF
    return bool((is_value[leaves] & (values < len(texts))).all())
