"""Where words begin and end: text rewritten into words, and the place of each in the text.

The rewriting uses only core TensorFlow ops and one of tensorflow-text, because tensorflow-text's
own BERT normaliser folds with NFKC and so changes characters (`½`, `…`, `ﬁ`) that BERT keeps.

`split_words` rewrites whole texts, which is quick; `word_offsets` classifies characters one by one
by a table that the same patterns make. A test compares the two around every character.
"""

import functools
from collections.abc import Sequence

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
# One character of `_REMOVED`, and one that can stand for all of them.
_REMOVED_ONE = r"[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z}\t\n\r]|\x{FFFD}"
REMOVED = "\U0010fffc"
# ASCII symbols such as $ and ^ count as punctuation too.
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"

# Letters whose lower case depends on the language of the process's locale, with the lower case of
# all other languages. TensorFlow's op asks ICU, which asks LC_ALL and LANG: in Turkish and
# Azerbaijani I becomes \u0131, and Lithuanian keeps the dot of I, J and their kin below an accent.
_LOWER_OF = {
    "\u0130": "i\u0307",
    "\u012e": "\u012f",
    "\u00cc": "\u00ec",
    "\u00cd": "\u00ed",
    "\u0128": "\u0129",
}

# What `_kinds` tells of a character, beside its length in UTF-8.
_LENGTH, _IS_REMOVED, _IS_SPACE, _IS_ALONE, _IS_NOTHING = 7, 8, 16, 32, 64
_PAGE = 256
# All characters: code points but for the halves of pairs.
POINTS = np.delete(np.arange(0x110000, dtype=np.int32), slice(0xD800, 0xE000))


def valid_utf8(text: tf.Tensor) -> tf.Tensor:
    """Drops invalid bytes; what is left is the text that offsets refer to."""
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore")


def _fold(text: tf.Tensor, lower_case: bool, strip_accents: bool) -> tf.Tensor:
    """Lower-cases and removes accents, as asked for."""
    if lower_case:
        text = _lower(text)
    if strip_accents:
        text = tf_text.normalize_utf8(text, "NFD")
        text = tf.strings.regex_replace(text, _ACCENT, "")
    return text


def _lower(text: tf.Tensor) -> tf.Tensor:
    """Lower-cases text, the same in every locale: in a SavedModel it is the server's."""
    text = tf.strings.lower(text)  # ASCII alone, and so I and J
    for letter, lower in _LOWER_OF.items():
        text = tf.strings.regex_replace(text, letter, lower)
    return tf.strings.lower(text, encoding="utf-8")


def split_words(
    text: tf.Tensor, lower_case: bool, strip_accents: bool, split_chinese: bool = True
) -> tf.Tensor:
    """Rewrites text into its normalised words, joined by spaces.

    Args:
      text: string [B].
      lower_case: lower-case every letter.
      strip_accents: decompose characters and remove the accents.
      split_chinese: make each Chinese character a word of its own.

    Returns:
      string [B]; words are separated by one or more spaces.
    """
    text = normalize(valid_utf8(text), lower_case, strip_accents, split_chinese)
    # After the folding, which turns for example U+037E into a semicolon.
    return tf.strings.regex_replace(text, _PUNCTUATION, r" \0 ")


def normalize(
    text: tf.Tensor, lower_case: bool, strip_accents: bool, split_chinese: bool = True
) -> tf.Tensor:
    """What `split_words` does before it looks for punctuation; of valid UTF-8."""
    text = tf.strings.regex_replace(text, _REMOVED, "")
    text = tf.strings.regex_replace(text, _OTHER_SPACE, " ")
    if split_chinese:
        text = tf.strings.regex_replace(text, _CJK, r" \0 ")
    return _fold(text, lower_case, strip_accents)


def hold_removed(text: tf.Tensor, strip_accents: bool) -> tf.Tensor:
    """Puts `REMOVED` in the place of each character that `normalize` removes; of valid UTF-8."""
    removed = rf"{_REMOVED_ONE}|\p{{Mn}}" if strip_accents else _REMOVED_ONE
    return tf.strings.regex_replace(text, removed, REMOVED)


def patterns_of(
    tokens: Sequence[str], lower_case: bool, strip_accents: bool, split_chinese: bool = True
) -> list[str]:
    """Regular expressions of RE2 of what `normalize` makes the same of as of each token.

    Args:
      tokens: to find in texts, as `hold_removed` makes these.
      lower_case, strip_accents, split_chinese: as of `split_words`.

    Returns:
      For each character of a token those that become the same, and between them `REMOVED`.
    """
    normal, nothing = _normal(lower_case, strip_accents, split_chinese)
    classes = {}
    for character in {*"".join(tokens)}:
        own = normal[np.searchsorted(POINTS, ord(character))]
        if own != nothing:  # else it is removed from texts
            same = (rf"\x{{{point:X}}}" for point in POINTS[normal == own])
            classes[character] = f"[{''.join(same)}]"
    return [
        f"{REMOVED}*".join(classes[each] for each in token if each in classes) for token in tokens
    ]


@functools.cache
def _normal(lower_case: bool, strip_accents: bool, split_chinese: bool) -> tuple[np.ndarray, int]:
    """Of `POINTS` a number for what `normalize` makes of each, int32, and that of nothing."""
    with tf.init_scope():
        text = tf.strings.unicode_encode(POINTS[:, None], "UTF-8")
        different, normal = tf.unique(normalize(text, lower_case, strip_accents, split_chinese))
        return normal.numpy(), np.flatnonzero(different.numpy() == b"")[0]


def word_offsets(
    text: tf.Tensor,
    lower_case: bool,
    strip_accents: bool,
    split_chinese: bool = True,
    whole: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Where each word that `split_words` makes lies in the text it was made of.

    Every character is looked up in a table and classified on its own, which finds the same
    boundaries as rewriting the whole text does.

    Args:
      text: string [B], of valid UTF-8.
      lower_case, strip_accents, split_chinese: as of `split_words`.
      whole: int32 [characters of all texts]: those of a word that nothing splits have a number
        above 0, other than of such a word beside it; all others have 0.

    Returns:
      First byte and the one after the last, int32 [words] each, of the words of all texts in
      their order.
    """
    characters, starts = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
    kind = _kind_of(characters.values, lower_case, strip_accents, split_chinese)
    start = tf.cast(starts.values, tf.int32)
    row = tf.cumsum(tf.cast(start == 0, tf.int32))  # from 1, texts without characters left out
    if whole is not None:
        kind, row = tf.where(whole > 0, kind & _LENGTH, kind), tf.where(whole > 0, -whole, row)
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


def _kind_of(
    characters: tf.Tensor, lower_case: bool, strip_accents: bool, split_chinese: bool
) -> tf.Tensor:
    """Of code points int32 [N] the bits of `_LENGTH` and `_IS_…`, int32 [N]."""
    pages, kinds = _kinds(lower_case, strip_accents, split_chinese)
    in_page = tf.math.floormod(characters, _PAGE)
    return tf.gather(kinds, tf.gather(pages, characters // _PAGE) + in_page)


@functools.cache
def _kinds(
    lower_case: bool, strip_accents: bool, split_chinese: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The bits of all code points, of which most pages are alike.

    Returns:
      int32 [4352], where each page begins in the second, int32 [pages * _PAGE].
    """
    with tf.init_scope():
        text = tf.strings.unicode_encode(POINTS[:, None], "UTF-8")
        folded = _fold(text, lower_case, strip_accents)
        is_alone = tf.strings.regex_full_match(folded, _PUNCTUATION)
        if split_chinese:
            is_alone |= tf.strings.regex_full_match(text, _CJK)
        bits = tf.strings.length(text)
        for bit, has_it in (
            (_IS_REMOVED, tf.strings.regex_full_match(text, _REMOVED)),
            (_IS_SPACE, tf.strings.regex_full_match(text, f"{_OTHER_SPACE}| ")),
            (_IS_ALONE, is_alone),
            (_IS_NOTHING, folded == ""),
        ):
            bits += tf.where(has_it, bit, 0)
    kinds = np.zeros(0x110000, np.int32)
    kinds[POINTS] = bits.numpy()
    pages, page = np.unique(kinds.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return (page * _PAGE).astype(np.int32), pages.reshape(-1)
