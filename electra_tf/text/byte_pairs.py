"""Byte-level BPE as TensorFlow ops: the same ids in the build, in Python and when serving.

The tokenizer of GPT-2, RoBERTa and ModernBERT: a text is cut into words (`byte_words`), and the
bytes of each word are merged to tokens (`byte_merges`), of all different words of a batch once.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_text as tf_text

from electra_tf.text import byte_words
from electra_tf.text.byte_merges import Merges
from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.words import valid_utf8

_MARK = b"\xff"  # stands around a token that was found; no valid text has it
_TEXT = -1  # in place of an id: the part is text
_RAGGED: Any = tf.RaggedTensor  # the stubs lack its constructors


class _Parts(NamedTuple):
    """Texts cut around tokens that stand in them as a whole, N parts in their order.

    Attributes:
        content: string [N].
        ids: int32 [N], of such a token its id, else _TEXT.
        rows: int64 [N], rising: of which text, or part of one, each is.
    """

    content: tf.Tensor
    ids: tf.Tensor
    rows: tf.Tensor


class _Characters(NamedTuple):
    """All characters of composed parts, one part after the other, C of them.

    Attributes:
        places: int32 [C], their first bytes in all these parts.
        starts, ends: int32 [C], first byte of what each came from, and the one after the last, in
            the part as it was written.
        is_space: bool [C], whether each is white space.
    """

    places: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    is_space: tf.Tensor


class BytePairs(Tokenizer):
    """Byte-level BPE; "[MASK]" in a text gives pieces of it, like any other word.

    Offsets are those of each token itself, without the blank before it; a token that has a part of
    a character has all of its place. A token of white space alone has an empty place, where it
    ends; for the blank that is put before a text, that is the text's beginning.

    Differs from the package `tokenizers`: invalid bytes are dropped; special tokens do not come out
    of a text, but the file's other added tokens do; NFC orders a few accents in another way, as the
    two know other versions of Unicode.

    Args:
        vocabulary: a `BytePairVocabulary`, or the file to read it from.
    """

    name = "byte_level_bpe"
    vocabulary: BytePairVocabulary

    def __init__(self, vocabulary: BytePairVocabulary | str | os.PathLike):
        if not isinstance(vocabulary, BytePairVocabulary):
            vocabulary = BytePairVocabulary.from_file(vocabulary)
        super().__init__(vocabulary)
        wholes = vocabulary.as_written, vocabulary.as_composed
        self._as_written, self._as_composed = map(_Wholes, wholes)
        # A word ends where white space begins, unless an added token goes across.
        crosses = any(
            token.strip() and token.split() != [token] for each in wholes for token in each
        )
        spaces = byte_words.SPACES
        self.unfinished = None if crosses else rf"(?:\A|[{spaces}]+)[^{spaces}]*\z"
        self._merges = Merges(vocabulary)

    def ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        written = self._as_written.cut(_uncut(valid_utf8(text)))
        content = written.content
        if self.vocabulary.composes:
            content = tf_text.normalize_utf8(content, "NFC")
        parts = self._as_composed.cut(written._replace(content=content))
        ids, _ = self._ids_of(parts)
        return _by_text(ids.values, tf.gather(parts.rows, ids.value_rowids()), written, text)

    def ids_with_offsets(
        self, text: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        text = valid_utf8(text)
        written = self._as_written.cut(_uncut(text))
        content, characters = self._composed(written.content)
        parts = self._as_composed.cut(written._replace(content=content))
        ids, has_prefix = self._ids_of(parts)
        # Bytes in all parts, as if they stood one after the other without prefixes.
        lengths = tf.gather(self.vocabulary.lengths, ids.values)
        part = ids.value_rowids()
        ends = tf.cumsum(lengths) - tf.gather(tf.cumsum(tf.cast(has_prefix, tf.int32)), part)
        starts = tf.maximum(ends - lengths, tf.gather(_before(parts.content), part))
        first = tf.searchsorted(characters.places, starts, side="right") - 1
        last = tf.maximum(tf.searchsorted(characters.places, ends) - 1, first)
        is_prefix, is_space = starts == ends, tf.gather(characters.is_space, last)
        begins_with_space = tf.gather(characters.is_space, first) & ~is_space
        starts = tf.gather(characters.starts, first + tf.cast(begins_with_space, tf.int32))
        ends = tf.where(is_prefix, starts, tf.gather(characters.ends, last))
        starts = tf.where(is_space, ends, starts)
        # Where the part begins in its text.
        row = tf.gather(parts.rows, part)
        shift = _before(written.content) - tf.gather(_before(text), written.rows)
        shift = tf.gather(shift, row)
        values = ids.values, starts + shift, ends + shift
        ids, starts, ends = (_by_text(each, row, written, text) for each in values)
        return ids, starts, ends

    def ids_of_parts(self, parts: tf.RaggedTensor) -> tf.RaggedTensor:
        """What stands between the parts takes the place of white space as the file says."""
        text, spaces = parts.values, byte_words.SPACES
        number = tf.range(tf.size(text, tf.int64)) - tf.gather(
            parts.row_starts(), parts.value_rowids()
        )
        is_last = number == tf.gather(parts.row_lengths(), parts.value_rowids()) - 1
        before, after = self.vocabulary.mask_strips
        if before:
            stripped = tf.strings.regex_replace(text, rf"[{spaces}]+\z", "")
            text = tf.where(is_last, text, stripped)
        if after:
            stripped = tf.strings.regex_replace(text, rf"\A[{spaces}]+", "")
            text = tf.where(number == 0, text, stripped)
        return parts.with_values(self.ids(text))

    def _ids_of(self, parts: _Parts) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """The tokens of each part, int32 [N, None], and whether a blank was put before it, [N]."""
        is_whole = parts.ids != _TEXT
        text = tf.where(is_whole, "", parts.content)
        has_prefix = tf.zeros_like(is_whole)
        if self.vocabulary.adds_prefix:
            has_prefix = tf.strings.regex_full_match(text, "(?s)[^ ].*")
            text = tf.where(has_prefix, tf.strings.join([" ", text]), text)
        words = byte_words.split(text)
        different, number = tf.unique(words.values)
        ids: Any = words.with_values(tf.gather(self._merges.ids(different), number)).merge_dims(
            1, 2
        )
        if self._as_written or self._as_composed:
            counts = tf.cast(is_whole, tf.int64)
            wholes = tf.boolean_mask(parts.ids, is_whole)
            wholes = _RAGGED.from_row_lengths(wholes, counts, validate=False)
            ids = tf.concat([ids, wholes], 1)
        return ids, has_prefix

    def _composed(self, parts: tf.Tensor) -> tuple[tf.Tensor, _Characters]:
        """Parts, string [N], as they are looked up, and their characters."""
        # One more that is empty: the op that finds offsets crashes where there is none at all.
        content, sources = tf.concat([parts, [""]], 0), None
        if self.vocabulary.composes:
            content, sources = tf_text.normalize_utf8_with_offsets_map(content, "NFC")
        characters, places = tf.strings.unicode_decode_with_offsets(content, "UTF-8")
        part = characters.value_rowids()
        # It fails where a part has no offsets, so all have their ends.
        lengths = tf.cast(tf.strings.length(content), tf.int64)
        bounds = tf.concat([places, lengths[:, None]], 1)
        if sources is not None:
            bounds = tf_text.find_source_offsets(sources, bounds)
        bounds = tf.cast(bounds, tf.int32)
        starts, ends = bounds[:, :-1].values, bounds[:, 1:].values
        # Of several characters that were composed together all but the first seem to start where
        # they end.
        is_first = starts != ends
        group = tf.cumsum(tf.cast(is_first, tf.int32)) - 1
        starts = tf.gather(tf.boolean_mask(starts, is_first), group)
        places = tf.cast(places.values, tf.int32) + tf.gather(_before(content), part)
        is_space = byte_words.kinds_of(characters.values) == byte_words.SPACE
        return content[:-1], _Characters(places, starts, ends, is_space)


class _Wholes:
    """Tokens that are found in a text as a whole, the longest of those that begin at a place.

    Args:
        tokens: their ids by what they are.
    """

    def __init__(self, tokens: Mapping[str, int]):
        # RE2 takes the first alternative that fits.
        self._tokens = sorted(tokens, key=len, reverse=True)
        self._ids = [tokens[token] for token in self._tokens]
        self._pattern = "|".join(
            "".join(rf"\x{{{ord(character):X}}}" for character in token) for token in self._tokens
        )

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def cut(self, parts: _Parts) -> _Parts:
        """Cuts parts around the tokens; `rows` are then the parts that were given."""
        if not self._tokens:
            return _Parts(parts.content, parts.ids, tf.range(tf.size(parts.ids, tf.int64)))
        marked = tf.strings.regex_replace(parts.content, self._pattern, _MARK + rb"\0" + _MARK)
        marked = tf.where(parts.ids == _TEXT, marked, parts.content)
        cut = tf.strings.split(marked, _MARK)
        rows = cut.value_rowids()
        is_token = (tf.range(tf.size(rows, tf.int64)) - tf.gather(cut.row_starts(), rows)) % 2 == 1
        found = tf.boolean_mask(cut.values, is_token)
        which = tf.argmax(tf.cast(found[:, None] == tf.constant(self._tokens), tf.int32), 1)
        ids = tf.tensor_scatter_nd_update(
            tf.gather(parts.ids, rows), tf.where(is_token), tf.gather(self._ids, which)
        )
        return _Parts(cut.values, ids, rows)


def _uncut(text: tf.Tensor) -> _Parts:
    return _Parts(text, tf.fill(tf.shape(text), _TEXT), tf.range(tf.size(text, tf.int64)))


def _before(text: tf.Tensor) -> tf.Tensor:
    """How many bytes of all texts, string [N], lie before each, int32 [N]."""
    return tf.cumsum(tf.strings.length(text), exclusive=True)


def _by_text(
    values: tf.Tensor, rows: tf.Tensor, written: _Parts, text: tf.Tensor
) -> tf.RaggedTensor:
    """Values by the parts `rows` of `written`, as [B, None] by the texts of these."""
    rows = tf.gather(written.rows, rows)
    return _RAGGED.from_value_rowids(values, rows, tf.size(text, tf.int64), validate=False)
