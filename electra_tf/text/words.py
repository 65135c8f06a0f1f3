"""Where words begin and end: text rewritten into words, and the place of each in the text.

The rewriting uses only core TensorFlow ops and one of tensorflow-text, because tensorflow-text's
own BERT normaliser folds with NFKC and so changes characters (`½`, `…`, `ﬁ`) that BERT keeps.
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

# Everything but letters, marks, numbers, punctuation, symbols and separators: controls, formats,
# surrogates, private use and, written as a complement because RE2 has no class for it, unassigned.
_REMOVED = r"[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z}\t\n\r]+|\x{FFFD}+"
# White space other than the plain blank, which needs no rewriting.
_OTHER_SPACE = r"[\t\n\r]|[^\P{Z} ]"
# The blocks of Chinese characters; each character is a word.
_CJK = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)
_ACCENT = r"\p{Mn}+"
# ASCII symbols such as $ and ^ count as punctuation too.
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"

# What `_kinds` tells of a character, beside its length in UTF-8.
_LENGTH, _IS_REMOVED, _IS_SPACE, _IS_ALONE, _IS_NOTHING = 7, 8, 16, 32, 64
_PAGE = 256


def valid_utf8(text: tf.Tensor) -> tf.Tensor:
    """Drops invalid bytes; what is left is the text that offsets refer to."""
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore")


def _fold(text: tf.Tensor, lower_case: bool, strip_accents: bool) -> tf.Tensor:
    """Lower-cases and removes accents, as asked for."""
    if lower_case:
        text = tf.strings.lower(text, encoding="utf-8")
    if strip_accents:
        text = tf_text.normalize_utf8(text, "NFD")
        text = tf.strings.regex_replace(text, _ACCENT, "")
    return text


def split_words(text: tf.Tensor, lower_case: bool, strip_accents: bool) -> tf.Tensor:
    """Rewrites text into its normalised words, joined by spaces.

    Args:
      text: string [B].
      lower_case: lower-case every letter.
      strip_accents: decompose characters and remove the accents.

    Returns:
      string [B]; words are separated by one or more spaces.
    """
    text = valid_utf8(text)
    text = tf.strings.regex_replace(text, _REMOVED, "")
    text = tf.strings.regex_replace(text, _OTHER_SPACE, " ")
    text = tf.strings.regex_replace(text, _CJK, r" \0 ")
    text = _fold(text, lower_case, strip_accents)
    # After the folding, which turns for example U+037E into a semicolon.
    return tf.strings.regex_replace(text, _PUNCTUATION, r" \0 ")


def word_offsets(text: tf.Tensor, lower_case: bool, strip_accents: bool
                 ) -> tuple[tf.Tensor, tf.Tensor]:
    """Where each word that `split_words` makes lies in the text it was made of.

    Every character is looked up in a table and classified on its own, which finds the same
    boundaries as rewriting the whole text does.

    Args:
      text: string [B], of valid UTF-8.
      lower_case, strip_accents: as of `split_words`.

    Returns:
      First byte and the one after the last, int32 [words] each, of the words of all texts in
      their order.
    """
    characters, starts = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
    kind = _kind_of(characters.values, lower_case, strip_accents)
    start = tf.cast(starts.values, tf.int32)
    row = tf.cumsum(tf.cast(start == 0, tf.int32))  # from 1, texts without characters left out
    # What is removed before words are told apart belongs to no word.
    kept = tf.where(kind & _IS_REMOVED == 0)[:, 0]
    kind, start, row = (tf.gather(values, kept) for values in (kind, start, row))

    # A word begins at the first character of a row, at a space, at a punctuation mark, and after
    # any of these two. Spaces then make up words of their own, dropped below with those of which
    # stripping the accents left nothing.
    group = tf.where(kind & (_IS_SPACE | _IS_ALONE) > 0, 0, row)
    begins = (group == 0) | (group != tf.concat([[0], group], 0)[:-1])
    first = tf.where(begins)[:, 0]
    last = tf.concat([first, tf.size(begins, tf.int64)[None]], 0)[1:] - 1

    is_visible = tf.cast(kind & (_IS_SPACE | _IS_NOTHING) == 0, tf.int32)
    word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    is_word = tf.where(tf.math.segment_max(is_visible, word) > 0)[:, 0]
    first, last = tf.gather(first, is_word), tf.gather(last, is_word)
    return tf.gather(start, first), tf.gather(start + (kind & _LENGTH), last)


def _kind_of(characters: tf.Tensor, lower_case: bool, strip_accents: bool) -> tf.Tensor:
    """Of code points int32 [N] the bits of `_LENGTH` and `_IS_…`, int32 [N]."""
    page, kinds = _kinds(lower_case, strip_accents)
    return tf.gather(kinds, tf.gather(page, characters // _PAGE) + characters % _PAGE)


@functools.cache
def _kinds(lower_case: bool, strip_accents: bool) -> tuple[np.ndarray, np.ndarray]:
    """The bits of all code points, of which most pages are alike.

    Returns:
      int32 [4352], where each page begins in the second, int32 [pages * _PAGE].
    """
    points = np.delete(np.arange(0x110000, dtype=np.int32), slice(0xD800, 0xE000))
    with tf.init_scope():
        text = tf.strings.unicode_encode(points[:, None], "UTF-8")
        folded = _fold(text, lower_case, strip_accents)
        is_alone = (tf.strings.regex_full_match(text, _CJK)
                    | tf.strings.regex_full_match(folded, _PUNCTUATION))
        bits = tf.strings.length(text)
        for bit, has_it in (
                (_IS_REMOVED, tf.strings.regex_full_match(text, _REMOVED)),
                (_IS_SPACE, tf.strings.regex_full_match(text, f"{_OTHER_SPACE}| ")),
                (_IS_ALONE, is_alone), (_IS_NOTHING, folded == "")):
            bits += tf.where(has_it, bit, 0)
    kinds = np.zeros(0x110000, np.int32)
    kinds[points] = bits.numpy()
    pages, page = np.unique(kinds.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return (page * _PAGE).astype(np.int32), pages.reshape(-1)
