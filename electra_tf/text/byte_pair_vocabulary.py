"""The tokens of a byte-level BPE by id, and the file they lie in. Knows no TensorFlow."""

import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from electra_tf.errors import UserError
from electra_tf.json_files import json_object
from electra_tf.text.vocabulary import CLS, MASK, PAD, SEP, UNK, Vocabulary, read_file

_ALONE = frozenset((b".", b","))  # words of their own, though no blank stands before them
# What models call the special tokens, beside the names of ours.
_OTHER_NAMES = {PAD: "<pad>", UNK: "<unk>", CLS: "<s>", SEP: "</s>", MASK: "<mask>"}
# Of the tokens that are found in texts as a whole, which a regular expression looks for.
_LONGEST_WHOLE, _MOST_WHOLES = 100, 1000
_NOTHING = (None, "", 0, False)
# Settings of the model with the values that change no id; `unk_token`, `fuse_unk` and
# `byte_fallback` mean nothing where every byte is a token.
_MODEL = {
    "type": ("BPE",),
    "dropout": _NOTHING,
    "continuing_subword_prefix": _NOTHING,
    "end_of_word_suffix": _NOTHING,
    "ignore_merges": _NOTHING,
}


def _alphabet() -> tuple[str, ...]:
    """The character that stands for each byte in tokens, as GPT-2 has them."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return tuple(chr(byte) if byte in shown else chr(next(others)) for byte in range(256))


ALPHABET = _alphabet()
_IN_TEXTS = (*range(0xC0), *range(0xC2, 0xF5))  # the bytes of UTF-8
BLANK = ALPHABET[32]
_BYTES = {character: byte for byte, character in enumerate(ALPHABET)}
# Bytes that a character of white space may begin with, as nothing else in a word does.
_SPACES = frozenset(ALPHABET[byte] for byte in b"\t\n\v\f\r ")


class Merge(NamedTuple):
    """Two tokens that become one.

    Attributes:
      rank: its place in the file; of several possible merges the lowest is done first.
      left, right, whole: ids.
    """

    rank: int
    left: int
    right: int
    whole: int


class BytePairVocabulary(Vocabulary):
    """The tokens of a byte-level BPE, `tokenizer.json` as Hugging Face's `tokenizers` writes it.

    In tokens each byte is one character, a blank `Ġ`. Special tokens may be called as ours,
    `[PAD]`, or as RoBERTa's, `<pad>`, `<s>` and `</s>`. Only added tokens that are not our special
    tokens are found whole in texts.

    Attributes:
      SPECIAL: names of the special tokens in this file.
      composes: whether texts are composed, by NFC.
      adds_prefix: whether a blank is put before a text that begins with none.
      merges: in the order of their ranks.
      byte_ids: of each byte the id of its token; -1 of some that no UTF-8 has.
      lengths: int32 [V], bytes that each token stands for.
      as_written: ids of the tokens that are found in texts before these are composed.
      as_composed: ids of those that are found in what is left, once it is composed.
      mask_strips: whether [MASK] takes the place of white space before it, and after it.
    """

    FILES: ClassVar[tuple[str, ...]] = ("tokenizer.json",)

    def __init__(self, content: bytes, source: str = "tokenizer.json"):
        """Checks a file.

        Args:
          content: of the file.
          source: what messages call it, usually the file's name.

        Raises:
          UserError: it is of another tokenizer, or it lacks a special token or a byte.
        """
        self._content, self._source = content, source
        described = json_object(content, source)
        model = self._part(described, "model")
        for name, values in _MODEL.items():
            if model.get(name) not in values:
                raise self._other(f"model.{name}", f"{values[0]!r}", model.get(name))
        self.composes = self._composes(described.get("normalizer"))
        self.adds_prefix = self._adds_prefix(described.get("pre_tokenizer"))
        ids = self._part(model, "vocab")
        added = described.get("added_tokens") or []
        if not isinstance(added, list) or not all(isinstance(each, dict) for each in added):
            raise self._other("added_tokens", "a list of objects", added)
        self.tokens = self._all_tokens(ids, added)
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        missing = [ALPHABET[byte] for byte in _IN_TEXTS if ALPHABET[byte] not in ids]
        if missing:
            raise self._other("model.vocab", "with a token for each byte", " ".join(missing))
        self.byte_ids = tuple(ids.get(character, -1) for character in ALPHABET)
        self._added = frozenset(each["content"] for each in added)
        self.lengths = np.array([len(self.bytes_of(token)) for token in self.tokens], np.int32)
        self.merges = self._merges(model.get("merges"), ids)
        names = {name: name if name in self._ids else other for name, other in _OTHER_NAMES.items()}
        absent = [
            f"{name} or {_OTHER_NAMES[name]}" for name in names if names[name] not in self._ids
        ]
        if absent:
            raise UserError(
                f"A byte-level BPE must have a token for each of {' '.join(names)}. Received: "
                f"{source} without {', '.join(absent)}; learn one: electra_tf learn_vocab "
                "--kind=byte_level_bpe"
            )
        self.SPECIAL = tuple(names.values())
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._ids[name] for name in self.SPECIAL
        )
        self.as_written, self.as_composed = self._wholes(added)
        [mask] = [each for each in added if each["content"] == names[MASK]] or [{}]
        self.mask_strips = bool(mask.get("lstrip")), bool(mask.get("rstrip"))

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "BytePairVocabulary":
        """Reads a tokenizer.json."""
        return cls(read_file(path, "A tokenizer.json"), os.fspath(path))

    def contents(self) -> dict[str, bytes]:
        return {self.FILES[0]: self._content}

    def bytes_of(self, token: str) -> bytes:
        """What a token stands for in a text."""
        if token in self._added or not _BYTES.keys() >= set(token):
            return token.encode(errors="replace")
        return bytes(map(_BYTES.__getitem__, token))

    def begins_word(self) -> np.ndarray:
        """Whether a token begins with a blank or a line's end, bool [V]; true of special tokens."""
        begins = np.array([token[0] in _SPACES for token in self.tokens])
        begins[[self._ids[name] for name in self.SPECIAL]] = True
        return begins

    def words(self) -> list[str]:
        words = [token[1:] for token in self.tokens if token.startswith(BLANK)]
        return [
            word
            for word in words
            if word.isascii() and word.isalpha() and word.islower() and word in self._ids
        ]

    def has_word(self, word: str) -> bool:
        return BLANK + word in self._ids

    def joined(self, tokens: Sequence[str]) -> str:
        return b"".join(map(self.bytes_of, tokens)).decode(errors="replace").strip()

    def plain_words(self, tokens: Iterable[str]) -> list[str]:
        words: list[bytes] = []
        for token in map(self.bytes_of, tokens):
            if token[:1].isspace() or not words or token in _ALONE or words[-1] in _ALONE:
                words.append(b"")
            words[-1] += token.strip()
        return [word.decode(errors="replace") for word in words if word]

    def _composes(self, normalizer: Any) -> bool:
        steps = _steps(normalizer, "normalizers")
        if any(step != {"type": "NFC"} for step in steps):
            raise self._other("normalizer", "NFC or null", normalizer)
        return bool(steps)

    def _adds_prefix(self, pre_tokenizer: Any) -> bool:
        steps = _steps(pre_tokenizer, "pretokenizers")
        step = steps[0] if len(steps) == 1 and isinstance(steps[0], dict) else {}
        prefix = step.get("add_prefix_space", True)
        if step.get("type") != "ByteLevel" or not step.get("use_regex", True):
            raise self._other("pre_tokenizer", "ByteLevel with use_regex=true", pre_tokenizer)
        if not isinstance(prefix, bool):
            raise self._other("pre_tokenizer.add_prefix_space", "true or false", prefix)
        return prefix

    def _all_tokens(self, ids: dict[str, Any], added: list[dict[str, Any]]) -> tuple[str, ...]:
        all_ids = dict(ids)
        for each in added:
            token, number = each.get("content"), each.get("id")
            if (
                not (isinstance(token, str) and token)
                or all_ids.setdefault(token, number) != number
            ):
                raise self._other("added_tokens", "tokens with the ids they have", each)
        if {type(number) for number in all_ids.values()} - {int}:
            raise self._other("model.vocab", "ids by tokens", "others")
        tokens = tuple(sorted(all_ids, key=all_ids.__getitem__))
        if [all_ids[token] for token in tokens] != list(range(len(tokens))):
            raise self._other(
                "The ids of model.vocab and added_tokens",
                f"0 to {len(tokens) - 1}, each once",
                "others",
            )
        if not all(tokens):
            raise self._other("model.vocab", "of tokens that are not empty", "one")
        return tokens

    def _merges(self, merges: Any, ids: dict[str, int]) -> tuple[Merge, ...]:
        if not isinstance(merges, list):
            raise self._other("model.merges", "a list", merges)
        found: dict[tuple[int, int], Merge] = {}
        for rank, each in enumerate(merges):
            try:
                one, other = each.split(" ") if isinstance(each, str) else each
                merge = Merge(rank, ids[one], ids[other], ids[one + other])
            except (TypeError, ValueError, KeyError):
                rule = "pairs of tokens that make up a token"
                raise self._other("model.merges", rule, each) from None
            found[merge.left, merge.right] = merge
        return tuple(sorted(found.values()))

    def _wholes(self, added: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
        written: dict[str, int] = {}
        composed: dict[str, int] = {}
        for each in added:
            token = each["content"]
            if token in self.SPECIAL:
                continue
            for name in ("single_word", "lstrip", "rstrip"):
                if each.get(name):
                    raise self._other(f"{name} of the added token {token!r}", "false", True)
            if len(token) > _LONGEST_WHOLE:
                raise self._other(
                    "added_tokens", f"of at most {_LONGEST_WHOLE} characters", token[:120]
                )
            if self.composes and unicodedata.normalize("NFC", token) != token:
                raise self._other("added_tokens", "composed, as the text is", token)
            is_composed = each.get("normalized", not each.get("special"))
            (composed if is_composed else written)[token] = each["id"]
        if len(written) + len(composed) > _MOST_WHOLES:
            number = len(written) + len(composed)
            raise self._other("added_tokens", f"at most {_MOST_WHOLES:,} tokens", f"{number:,}")
        return written, composed

    def _part(self, content: dict[str, Any], name: str) -> dict[str, Any]:
        part = content.get(name)
        if not isinstance(part, dict):
            raise self._other(name, "an object", part)
        return part

    def _other(self, name: str, rule: str, value: Any) -> UserError:
        return UserError(
            f"{name} must be {rule}: a text would become other tokens than those of the tokenizer "
            f"in the file. Received: {json.dumps(value, ensure_ascii=False, default=str):.160} in "
            f"{self._source}"
        )


def _steps(content: Any, name: str) -> list[Any]:
    """A part of a tokenizer, or the parts of a sequence; none for null."""
    if content is None:
        return []
    if isinstance(content, dict) and content.get("type") == "Sequence":
        steps = content.get(name)
        return steps if isinstance(steps, list) else [content]
    return [content]
