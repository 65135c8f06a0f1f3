"""SentencePiece as TensorFlow ops: the same ids in the build, in Python and when serving.

The op normalizes a text as its model says, by NFKC in most, and cuts it into the likeliest pieces
(unigram) or by merging neighbours (BPE): https://github.com/google/sentencepiece. The model is a
constant of the graph.
"""

import hashlib
import os
import unicodedata
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_text.python.ops import sentencepiece_tokenizer

from electra_tf.errors import UserError
from electra_tf.text import piece_model
from electra_tf.text.piece_vocabulary import BLANK, PieceVocabulary
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.words import valid_utf8

# Code points that models make white space of, or nothing, in rising order: what Unicode calls white
# space or control, which U+3000 is the last of, and some more.
_MORE_BLANKS = "\u200b\u200e\u200f\u2060\ufeff" + BLANK
_BLANKS = [
    point
    for point in range(0xFF00)
    if unicodedata.category(chr(point)) in ("Cc", "Zl", "Zp", "Zs") or chr(point) in _MORE_BLANKS
]
_BEGINS_WITH_BLANK = "(?s)[{}].*".format("".join(map(r"\x{{{:X}}}".format, _BLANKS)))
# Neither sampling nor marks at both ends, nor the reverse order.
_OPTIONS = {"nbest_size": 0, "alpha": 1.0, "add_bos": False, "add_eos": False, "reverse": False}
_ops = sentencepiece_tokenizer.gen_sentencepiece_tokenizer
_RAGGED: Any = tf.RaggedTensor  # the stubs lack its constructors


class SentencePiece(Tokenizer):
    """SentencePiece's tokenizer; "[MASK]" in a text gives pieces of it, like any other word.

    Offsets are those of each token itself, without white space around it. Several tokens that one
    character has become (`㍿`, or the bytes of an unknown one) all have its place. A token that
    stands for a blank alone has an empty place, where the blank ends; for the one that is put
    before a text, that is its first character's. A token that ends within what a character has
    become ends before that character; the next one begins at it.

    Differs from the original: invalid bytes are dropped, and no special token but the unknown one
    comes out of a text, though the model may call it user-defined. Of equally likely ways to cut a
    text (`00 0`, `0 00`) it takes the one that sentencepiece takes up to 0.2.1, not that of 0.2.3.

    Args:
        vocabulary: a `PieceVocabulary`, or the file to read it from.

    Raises:
        UserError: tensorflow-text cannot load the model.
    """

    name = "sentencepiece"
    vocabulary: PieceVocabulary

    def __init__(self, vocabulary: PieceVocabulary | str | os.PathLike):
        if not isinstance(vocabulary, PieceVocabulary):
            vocabulary = PieceVocabulary.from_file(vocabulary)
        super().__init__(vocabulary)
        self.unfinished = None if vocabulary.blanks_in_pieces else r"[^ ]*\z"
        self._model = vocabulary.processed
        self._only_blanks = np.array([not token.strip(BLANK) for token in vocabulary.tokens])
        self._begins = np.array([token.startswith(BLANK) for token in vocabulary.tokens])
        try:
            with tf.init_scope():
                _ids(self._model, tf.constant(["a"]))
        except tf.errors.OpError as error:
            raise UserError(
                "A SentencePiece model must be one that tensorflow-text can load. Received: "
                f"one of {len(vocabulary):,} pieces with which it fails ({error.message:.200})"
            ) from None

    def ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        return _ids(self._model, valid_utf8(text))

    def ids_with_offsets(
        self, text: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        text = valid_utf8(text)
        values, splits, starts, ends = _ops.sentencepiece_tokenize_with_offsets_op(
            _handle(self._model), text, **_OPTIONS, out_type=tf.int32, Tsplits=tf.int64
        )
        ids = _RAGGED.from_row_splits(values, splits)
        # All texts as if they stood one after the other.
        lengths = tf.cast(tf.strings.length(text), tf.int64)
        before = tf.cumsum(lengths, exclusive=True)
        shift = tf.gather(before, ids.value_rowids())
        characters, places = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
        bounds = tf.concat(
            [places.values + tf.gather(before, places.value_rowids()), [tf.reduce_sum(lengths)]], 0
        )
        starts, ends = (tf.cast(each, tf.int64) + shift for each in (starts, ends))
        # The op gives a place to the last of several tokens of one character alone, and none to the
        # blank that it puts before a text.
        ends = tf.where(starts == ends, _next(bounds, starts), ends)
        is_blank = tf.gather(tf.constant(self._only_blanks), values)
        goes_on = tf.gather(tf.constant(self._begins & ~self._only_blanks), values)
        starts, ends = _trimmed(starts, ends, is_blank, goes_on, characters.values, bounds)
        return ids, *(ids.with_values(tf.cast(each - shift, tf.int32)) for each in (starts, ends))

    def ids_of_parts(self, parts: tf.RaggedTensor) -> tf.RaggedTensor:
        """What begins with a blank begins a word; all else but a text's beginning does not."""
        vocabulary = self.vocabulary
        number = tf.range(tf.size(parts.values, tf.int64)) - tf.gather(
            parts.row_starts(), parts.value_rowids()
        )
        is_last = number == tf.gather(parts.row_lengths(), parts.value_rowids()) - 1
        text = parts.values
        # What stands between the parts has taken the place of a word with the blank before it.
        text = tf.where(is_last, text, tf.strings.regex_replace(text, r" \z", ""))
        puts_blank = tf.constant(vocabulary.strips_blanks)
        puts_blank &= tf.strings.regex_full_match(text, _BEGINS_WITH_BLANK)
        puts_blank = tf.where(number == 0, vocabulary.adds_prefix, puts_blank)
        both = tf.concat(
            [_ids(piece_model.with_prefix(self._model, each), text) for each in (False, True)], 0
        )
        place = tf.range(tf.size(text)) + tf.where(puts_blank, tf.size(text), 0)
        return parts.with_values(tf.gather(both, place))


def _ids(model: bytes, text: tf.Tensor) -> tf.RaggedTensor:
    values, splits = _ops.sentencepiece_tokenize_op(
        _handle(model), text, **_OPTIONS, out_type=tf.int32, Tsplits=tf.int64
    )
    return _RAGGED.from_row_splits(values, splits)


def _handle(model: bytes) -> tf.Tensor:
    """The loaded model; a process loads one of several equal ones once, by its name."""
    name = f"electra_tf_{hashlib.sha256(model).hexdigest()}"
    return _ops.sentencepiece_op(model=model, shared_name=name)


def _next(bounds: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Of rising bounds the first after each place, the last one if there is none; int64."""
    after = tf.searchsorted(bounds, places, side="right")
    return tf.gather(bounds, tf.minimum(after, tf.size(bounds) - 1))


def _trimmed(
    starts: tf.Tensor,
    ends: tf.Tensor,
    is_blank: tf.Tensor,
    goes_on: tf.Tensor,
    characters: tf.Tensor,
    bounds: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Places of tokens without the white space around them.

    Args:
        starts, ends: int64 [N], rising.
        is_blank: bool [N], whether a token stands for a blank alone.
        goes_on: bool [N], whether it stands for a blank and more.
        characters: int32 [C], code points of the text.
        bounds: int64 [C + 1], where each begins and the last one ends.

    Returns:
        starts, ends: int64 [N]. In a place of blanks alone, a token that goes on has a part of the
        next character; a blank has the end, and any other token keeps the place.
    """
    blanks = tf.constant(np.array(_BLANKS, np.int32))
    place = tf.minimum(tf.searchsorted(blanks, characters), len(_BLANKS) - 1)
    is_visible = tf.gather(blanks, place) != characters
    first_bytes = tf.boolean_mask(bounds[:-1], is_visible)
    last_bytes = tf.boolean_mask(bounds[1:], is_visible)
    first = tf.searchsorted(first_bytes, starts)  # visible character at or after the start
    last = tf.searchsorted(last_bytes, ends, side="right") - 1  # that ends at or before the end
    found = (first <= last) | goes_on & (first < tf.size(first_bytes))
    first, last = tf.where(found, first, 0), tf.where(found, tf.maximum(first, last), 0)
    # One more, as there may be no visible character at all.
    first_bytes, last_bytes = (tf.concat([each, [0]], 0) for each in (first_bytes, last_bytes))
    return (
        tf.where(found, tf.gather(first_bytes, first), tf.where(is_blank, ends, starts)),
        tf.where(found, tf.gather(last_bytes, last), ends),
    )
