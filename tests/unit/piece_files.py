"""SentencePiece models for tests: small ones made here, and two of the original trainer."""

import functools
import lzma

from electra_tf.text import piece_model
from tests.conftest import REFERENCE

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FOLDER = REFERENCE / "sentencepiece"


def content(
    special=SPECIAL,
    pieces=("▁", "▁the", "▁cat", "s", ".", "[", "M", "A", "S", "K", "]"),
    *,
    unknown: int = 1,
    score: float = -1.0,
    model_type: int = 1,
    suffix: bool = False,
    escape: bool = True,
    charsmap: bytes = b"",
    symbols=(),
) -> bytes:
    """A unigram model that normalizes nothing.

    Args:
        special: control symbols, of which number `unknown` is the unknown piece.
        pieces: normal ones.
        symbols: user-defined ones, of all that there are.
    """
    model = piece_model._message_class()()
    for number, text in enumerate((*special, *pieces)):
        kind = piece_model.CONTROL if number < len(special) else piece_model.NORMAL
        kind = piece_model.USER_DEFINED if text in symbols else kind
        kind = piece_model.UNKNOWN if number == unknown else kind
        model.pieces.add(piece=text.encode(), score=score if kind == 1 else 0.0, type=kind)
    model.trainer_spec.model_type = model_type
    model.trainer_spec.treat_whitespace_as_suffix = suffix
    model.normalizer_spec.escape_whitespaces = escape
    model.normalizer_spec.precompiled_charsmap = charsmap
    return model.SerializeToString()


@functools.cache
def reference(name: str) -> bytes:
    """`unigram` or `bpe`: a file of the original trainer, see tests/reference/README.md."""
    return lzma.decompress((FOLDER / f"{name}.model.xz").read_bytes())
