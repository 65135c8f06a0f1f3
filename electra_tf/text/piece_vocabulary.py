"""The pieces of a SentencePiece model by id, and the file they lie in. Knows no TensorFlow."""

import os
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from electra_tf.errors import UserError
from electra_tf.text import piece_model
from electra_tf.text.vocabulary import CLS, MASK, PAD, SEP, UNK, Vocabulary, read_file

BLANK = "\u2581"  # stands for white space in pieces, so before the first piece of a word
_ALONE = frozenset(".,")  # words of their own, though no blank stands before them
# What models call the special tokens, beside the names of ours.
_OTHER_NAMES = {PAD: "<pad>", UNK: "<unk>", CLS: "<cls>", SEP: "<sep>", MASK: "<mask>"}
_HOW = (
    "learn one: electra_tf learn_vocab --kind=sentencepiece; or train with sentencepiece and "
    "--control_symbols=[CLS],[SEP],[MASK] --pad_id=0 --unk_id=1"
)


class PieceVocabulary(Vocabulary):
    """The pieces of a SentencePiece model, `spiece.model`.

    Special tokens may be called as ours, `[PAD]`, or as other models do, `<pad>`. The piece of the
    type unknown is [UNK], whatever it is called. None of the others comes out of a text, though the
    file may say so of one (a user-defined symbol).

    Attributes:
      SPECIAL: names of the special tokens in this model.
      processed: content of a file as the op gets it.
      blanks_in_pieces: whether a piece may go on behind a blank, from one word into the next.
      adds_prefix: whether a blank is put before every text.
      folds_case: whether case is folded, by the name of its table of characters.
      strips_blanks: whether white space around a text, and all but one blank within, is dropped.
    """

    FILES: ClassVar[tuple[str, ...]] = ("spiece.model",)

    def __init__(self, content: bytes, source: str = "model"):
        """Checks a model.

        Args:
          content: of its file.
          source: what messages call it, usually the file's name.

        Raises:
          UserError: it is no model, a damaged one, or it lacks a special token.
        """
        self._content = content
        model = piece_model.parse(content, source)
        self.tokens = tuple(piece.piece.decode() for piece in model.pieces)
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        types = [piece.type for piece in model.pieces]
        unknown = self.tokens[types.index(piece_model.UNKNOWN)]
        names = {name: name if name in self._ids else other for name, other in _OTHER_NAMES.items()}
        names[UNK] = unknown
        missing = [
            f"{name} or {_OTHER_NAMES[name]}" for name in names if names[name] not in self._ids
        ]
        if missing:
            raise UserError(
                f"A SentencePiece model must have a piece for each of {' '.join(names)}. Received: "
                f"{source} without {', '.join(missing)}; {_HOW}"
            )
        self.SPECIAL = tuple(names.values())
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = self._special_ids()
        self._is_byte = np.array(types) == piece_model.BYTE
        self.processed = piece_model.with_types(
            model,
            {each: piece_model.CONTROL for each in self._special_ids() if each != self.unk_id},
        )
        self.adds_prefix = bool(model.normalizer_spec.add_dummy_prefix)
        self.folds_case = model.normalizer_spec.name.endswith(b"_cf")
        self.strips_blanks = bool(model.normalizer_spec.remove_extra_whitespaces)
        self.blanks_in_pieces = any(BLANK in token.lstrip(BLANK) for token in self.tokens)

    def _special_ids(self) -> list[int]:
        return [self._ids[name] for name in self.SPECIAL]

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "PieceVocabulary":
        """Reads a model's file."""
        return cls(read_file(path, "The SentencePiece model"), os.fspath(path))

    def contents(self) -> dict[str, bytes]:
        return {self.FILES[0]: self._content}

    def begins_word(self) -> np.ndarray:
        """Whether a piece begins with a blank, bool [V]; true of special tokens.

        An unknown character stands in a piece of its own, behind that of the blank before it.
        """
        begins = np.array([token.startswith(BLANK) for token in self.tokens])
        begins[self._special_ids()] = True
        begins[self.unk_id] = BLANK not in self._ids
        return begins

    def words(self) -> list[str]:
        pieces = [token[1:] for token in self.tokens if token.startswith(BLANK)]
        return [each for each in pieces if each.isascii() and each.isalpha() and each.islower()]

    def has_word(self, word: str) -> bool:
        return BLANK + word in self._ids

    def joined(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).replace(BLANK, " ").strip()

    def plain_words(self, tokens: Iterable[str]) -> list[str]:
        words: list[str] = []
        for token in tokens:
            if token.startswith(BLANK) or not words or token in _ALONE or words[-1] in _ALONE:
                words.append("")
            words[-1] += token.removeprefix(BLANK)
        return [word for word in words if word]
