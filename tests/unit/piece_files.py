"""SentencePiece models for tests: small ones made here, and two of the original trainer."""

import functools
import json
import lzma

from electra_tf.text import piece_model
from tests.conftest import REFERENCE, read_lines

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FOLDER = REFERENCE / "piece_models"


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


# Strings on which normalization, offsets or special tokens could go wrong.
HARD = [
    "",
    " ",
    "  the  cat ",
    "株式会社㍿です",
    "ﬁnance aﬃne ½…",
    "e\u0301te\u0301 café",
    "ＡＢＣ１２３",
    "a\u200bb\u00a0c\u3000d\ufeffe",
    "🤗 👩\u200d👩\u200d👧 🏳️\u200d🌈",
    "x" * 300,
    "[MASK] [CLS] <unk> [PAD]",
    "▁the▁cat",
    "a\x00b\x07c",
    "İstanbul ǅ ß",
    "ตากลม ที่ ํา กำ",
    "がぎ か\u3099",
    "한국어 \u1112\u1161\u11ab",
    "\u2028line\u2029para\x85",
    "٣٤ عربى ﷺ",
    "a\tb\nc\rd",
    "word\u00ad soft",
    "\U0001d54f\U0001d7d8",
    "\u0301 combining \u0301first",
    "\U0010ffff\ufffd\u0378",
]


def texts() -> list[str]:
    """HARD, paragraphs of Wikipedia, Japanese and Thai."""
    own = [(REFERENCE / "own_languages" / f"{name}.txt") for name in ("japanese", "thai")]
    lines = [line for path in own for line in path.read_text(encoding="utf-8").splitlines()]
    return HARD + list(filter(None, [*read_lines(REFERENCE / "wikipedia.txt.xz"), *lines]))


def expected(name: str) -> list[list[int]]:
    """The original's ids of `texts`, by `unigram` or `bpe`."""
    return json.loads(lzma.decompress((FOLDER / "ids.json.xz").read_bytes()))[name]
