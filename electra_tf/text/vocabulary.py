"""The WordPiece vocabulary: one token per line, its id is the line number counted from zero."""

import os
from collections.abc import Iterable

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (PAD, UNK, CLS, SEP, MASK)


class Vocabulary:
    """Tokens by id, with the five tokens that ELECTRA needs.

    Attributes:
      tokens: all tokens; the position is the id.
      pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.
    """

    def __init__(self, tokens: Iterable[str], source: str = "vocabulary"):
        """Checks the tokens.

        Args:
          tokens: the tokens in the order of their ids.
          source: what messages call the vocabulary, usually its file name.

        Raises:
          ValueError: there is no token, one is empty or double, or a special token is missing.
        """
        self.tokens = tuple(tokens)
        if not self.tokens:
            raise ValueError(
                f"A vocabulary must hold one token per line. Received: {source} (empty)"
            )
        self._ids: dict[str, int] = {}
        for index, token in enumerate(self.tokens):
            if not token:
                raise ValueError(
                    f"A vocabulary must not have empty lines. Received: {source}, line {index + 1}"
                )
            first = self._ids.setdefault(token, index)
            if first != index:
                raise ValueError(
                    f"The tokens of a vocabulary must be unique. Received: {source}, "
                    f"{token!r} on lines {first + 1} and {index + 1}"
                )
        missing = [token for token in SPECIAL_TOKENS if token not in self._ids]
        if missing:
            raise ValueError(
                f"A vocabulary must contain {' '.join(SPECIAL_TOKENS)}. Received: {source} without "
                f"{' '.join(missing)}; add the missing lines or make one with pipelines.learn_vocab"
            )
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._ids[token] for token in SPECIAL_TOKENS
        )

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Vocabulary":
        """Reads a UTF-8 file with one token per line (`\\n` or `\\r\\n`)."""
        try:
            with open(path, encoding="utf-8", newline="\n") as file:
                text = file.read()
        except OSError as error:
            raise ValueError(
                f"The vocabulary must be a readable file. Received: {os.fspath(path)} "
                f"({error.strerror})"
            ) from None
        except UnicodeDecodeError as error:
            raise ValueError(
                f"The vocabulary must be UTF-8 text. Received: {os.fspath(path)} "
                f"(invalid byte at {error.start})"
            ) from None
        # Only the line end goes: some published vocabularies hold exotic spaces as tokens.
        lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
        return cls(lines if text.strip() else (), source=os.fspath(path))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """The id of a token; [UNK]'s if it is not in the vocabulary."""
        return self._ids.get(token, self.unk_id)
