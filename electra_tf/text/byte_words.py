"""Text cut into words as GPT-2 does it, in graph.

Its pattern, `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`,
looks ahead, which RE2 cannot. What it finds depends on each character's kind and those of its
neighbours alone: a word begins where the kind changes, but for a plain blank, which belongs to what
follows; of several white spaces before a word the last stands alone. So all characters are looked
up in a table, and all beginnings are found at once.
"""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from electra_tf.text.words import POINTS

_NONE, _LETTER, _NUMBER, _OTHER, SPACE = range(5)
# Characters of Unicode's property White_Space, as a class of RE2.
SPACES = r"\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
# Letters and numbers of Unicode 16 that RE2 may not know yet.
_NEW_LETTERS = (
    "1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 11380-11389 "
    "1138B 1138E 11390-113B5 113B7 113D1 113D3 11BC0-11BE0 13460-143FA 16100-1611D 16D40-16D6C "
    "18CFF 1E5D0-1E5ED 1E5F0 2EBF0-2EE5D"
)
_NEW_NUMBERS = "10D40-10D49 116D0-116E3 11BF0-11BF9 16130-16139 16D70-16D79 1CCF0-1CCF9 1E5F1-1E5FA"
_PAGE = 256
_RAGGED: Any = tf.RaggedTensor  # the stubs lack its constructors


def split(text: tf.Tensor) -> tf.RaggedTensor:
    """The words of each text, which together are the text.

    Args:
        text: string [B], of valid UTF-8.

    Returns:
        string [B, None].
    """
    characters: Any = tf.strings.unicode_decode(text, "UTF-8")
    begins = _begins(characters.values, characters.value_rowids())
    starts = tf.where(begins)[:, 0]
    words = _RAGGED.from_row_starts(characters.values, starts, validate=False)
    words = tf.strings.unicode_encode(words, "UTF-8")
    return _RAGGED.from_row_splits(
        words, tf.searchsorted(starts, characters.row_splits, out_type=tf.int64)
    )


def kinds_of(characters: tf.Tensor) -> tf.Tensor:
    """Of code points int32 [N] their kinds, `SPACE` among them, int32 [N]."""
    pages, kinds = _kinds()
    in_page = tf.math.floormod(characters, _PAGE)
    return tf.gather(kinds, tf.gather(pages, characters // _PAGE) + in_page)


def _begins(characters: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Whether a word begins at each character, bool [N]; of code points and their texts, [N]."""
    kind = kinds_of(characters)
    is_first: Any = rows != _before(rows, -1)  # the stubs lack Tensor's operators
    is_last = rows != _after(rows, -1)
    before = tf.where(is_first, _NONE, _before(kind, _NONE))
    after = tf.where(is_last, _NONE, _after(kind, _NONE))
    is_joined: Any = ~is_first & (_before(characters, 0) == ord(" "))
    ends_spaces = (before != SPACE) | ((after != SPACE) & (after != _NONE))
    begins = is_first | tf.where(kind == SPACE, ends_spaces, (kind != before) & ~is_joined)
    # 's and its kin, unless the apostrophe goes on with other signs or is joined to a blank.
    second = tf.where(is_last, 0, _after(characters, 0))
    third = tf.where(is_last, 0, _after(second, 0))
    may_be = (characters == ord("'")) & (before != _OTHER) & ~is_joined
    short = may_be & functools.reduce(tf.logical_or, [second == ord(each) for each in "stmd"])
    pairs = [(second == ord(one)) & (third == ord(other)) for one, other in ("re", "ve", "ll")]
    long = may_be & functools.reduce(tf.logical_or, pairs)
    begins &= tf.logical_not(_before(short | long, False))
    return begins | _before(_before(short | _before(long, False), False), False)


def _before(values: tf.Tensor, first: Any) -> tf.Tensor:
    return tf.concat([tf.constant([first], values.dtype), values], 0)[:-1]


def _after(values: tf.Tensor, last: Any) -> tf.Tensor:
    return tf.concat([values, tf.constant([last], values.dtype)], 0)[1:]


@functools.cache
def _kinds() -> tuple[np.ndarray, np.ndarray]:
    """The kinds of all code points, of which most pages are alike.

    Returns:
        int32 [4352], where each page begins in the second, int32 [pages * _PAGE].
    """
    kinds = np.full(0x110000, _OTHER, np.int32)
    with tf.init_scope():
        text = tf.strings.unicode_encode(POINTS[:, None], "UTF-8")
        for kind, pattern in (
            (_LETTER, rf"[\p{{L}}{_ranges(_NEW_LETTERS)}]"),
            (_NUMBER, rf"[\p{{N}}{_ranges(_NEW_NUMBERS)}]"),
            (SPACE, f"[{SPACES}]"),
        ):
            kinds[POINTS[tf.strings.regex_full_match(text, pattern).numpy()]] = kind
    pages, page = np.unique(kinds.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return (page.reshape(-1) * _PAGE).astype(np.int32), pages.reshape(-1)


def _ranges(ranges: str) -> str:
    points = (each.split("-") for each in ranges.split())
    return "".join("-".join(rf"\x{{{point}}}" for point in each) for each in points)
