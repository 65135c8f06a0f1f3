"""Tokens by id, and the files they lie in. Knows no TensorFlow."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from electra_tf import file_systems, first_bytes
from electra_tf.errors import UserError
from electra_tf.files import write_bytes

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
# The tokens that stand for no text, in the order of `Vocabulary.SPECIAL`.
SPECIAL_TOKENS = (PAD, UNK, CLS, SEP, MASK)
_CONTINUES = "##"  # before a token that goes on with a word


def read_file(path: str | os.PathLike, what: str) -> bytes:
    """The content of a tokenizer's file; a UserError says that `what` cannot be read."""
    try:
        return file_systems.read_bytes(path)
    except OSError as error:
        raise UserError(
            f"{what} must be a readable file. Received: {os.fspath(path)} ({error.strerror})"
        ) from None


class Vocabulary:
    """The WordPiece vocabulary: one token per line, its id is the line number counted from zero.

    The vocabulary of another tokenizer is a subclass with what differs: files, names of the
    special tokens, which tokens begin a word, and how tokens become text again.

    Attributes:
      FILES: names of its files in a directory.
      MAX_TOKEN_BYTES: length in UTF-8 that the op takes, "##" not counted.
      SPECIAL: names of the tokens for padding, unknown words, [CLS], [SEP] and [MASK].
      tokens: all tokens; the position is the id.
      pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.
    """

    FILES: ClassVar[tuple[str, ...]] = ("vocab.txt",)
    MAX_TOKEN_BYTES: ClassVar[int] = 256
    SPECIAL: tuple[str, ...] = SPECIAL_TOKENS

    def __init__(self, tokens: Iterable[str], source: str = "vocabulary"):
        """Checks the tokens.

        Args:
          tokens: the tokens in the order of their ids.
          source: what messages call the vocabulary, usually its file name.

        Raises:
          UserError: there is no token, one is empty, double or one that no text can have or the
            op cannot take, or a special token is missing.
        """
        self.tokens = tuple(tokens)
        if not self.tokens:
            raise UserError(
                f"A vocabulary must hold one token per line. Received: {source} (empty)"
            )
        self._ids: dict[str, int] = {}
        for index, token in enumerate(self.tokens):
            if not token:
                raise UserError(
                    f"A vocabulary must not have empty lines. Received: {source}, line {index + 1}"
                )
            fault = self._fault(token)
            if fault:
                raise UserError(
                    f"A token of a vocabulary must {fault}. "
                    f"Received: {source}, line {index + 1}: {_short(token)}"
                )
            first = self._ids.setdefault(token, index)
            if first != index:
                raise UserError(
                    f"The tokens of a vocabulary must be unique. Received: {source}, "
                    f"{_short(token)} on lines {first + 1} and {index + 1}"
                )
        missing = [token for token in self.SPECIAL if token not in self._ids]
        if missing:
            raise UserError(
                f"A vocabulary must contain {' '.join(self.SPECIAL)}. Received: {source} without "
                f"{' '.join(missing)}; add the missing lines or learn one: electra_tf learn_vocab"
            )
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._ids[token] for token in self.SPECIAL
        )

    def _fault(self, token: str) -> str | None:
        """What is wrong with a token, as what it must be."""
        if token != token.strip(" \t"):
            return "have no blanks around it"
        if "\0" in token:
            return "have no NUL byte"
        bare = token.removeprefix(_CONTINUES)
        if len(bare.encode("utf-8", "replace")) > self.MAX_TOKEN_BYTES:
            return f"have at most {self.MAX_TOKEN_BYTES} bytes"
        return None

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Vocabulary":
        """Reads a UTF-8 file with one token per line (`\\n`, `\\r\\n` or `\\r`).

        A byte order mark at its beginning belongs to no token. A vocabulary of several files reads
        the directory `path`.
        """
        content = read_file(path, "The vocabulary")
        first_bytes.require_text(content[: first_bytes.HEAD_BYTES], os.fspath(path))
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(
                f"The vocabulary must be UTF-8 text. Received: {os.fspath(path)} "
                f"(invalid byte at {error.start})"
            ) from None
        # Only the line end goes: some published vocabularies hold exotic spaces as tokens.
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.removesuffix("\n").split("\n")
        if text.lstrip().startswith("{") and not set(cls.SPECIAL) <= set(lines):
            raise UserError(
                "A vocabulary must hold one token per line. Received: "
                f"{os.fspath(path)}, which is JSON; take the vocab.txt beside it"
            )
        return cls(lines if text.strip() else (), source=os.fspath(path))

    def contents(self) -> dict[str, bytes]:
        """Its files by name, as `save` writes them."""
        return {self.FILES[0]: "".join(f"{token}\n" for token in self.tokens).encode()}

    def save(self, directory: str | os.PathLike) -> None:
        """Writes its files."""
        for name, content in self.contents().items():
            write_bytes(os.path.join(directory, name), content)

    def fingerprint(self, settings: dict[str, Any]) -> str:
        """Equal for the same files and the same settings of a tokenizer."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, content in sorted(self.contents().items()):
            digest.update(f"\n{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:32]

    def begins_word(self) -> np.ndarray:
        """Whether a token begins a word, bool [V]; true of special tokens."""
        return np.array([not token.startswith(_CONTINUES) for token in self.tokens])

    def words(self) -> list[str]:
        """What the tokens that are a word of a text by themselves stand for, plain English ones."""
        return [
            token
            for token in self.tokens
            if token.isascii() and token.isalpha() and token.islower()
        ]

    def has_word(self, word: str) -> bool:
        """Whether there is a token for a whole word."""
        return word in self._ids

    def joined(self, tokens: Sequence[str]) -> str:
        """Tokens as text: those that continue a word close up to what stands before them."""
        first, *others = tokens
        return first + "".join(
            token.removeprefix(_CONTINUES) if token.startswith(_CONTINUES) else f" {token}"
            for token in others
        )

    def plain_words(self, tokens: Iterable[str]) -> list[str]:
        """Tokens as words, full stops and commas being words of their own."""
        words: list[str] = []
        for token in tokens:
            if token.startswith(_CONTINUES) and words:
                words[-1] += token.removeprefix(_CONTINUES)
            else:
                words.append(token)
        return words

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """The id of a token; [UNK]'s if it is not in the vocabulary."""
        return self._ids.get(token, self.unk_id)


def _short(token: str) -> str:
    """A token as messages show it."""
    return repr(token if len(token) <= 40 else f"{token[:40]}…")
