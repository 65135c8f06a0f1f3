"""Texts much longer than a model: the end that it never sees need not be tokenized."""

from collections.abc import Callable

import tensorflow as tf

from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.words import valid_utf8

CHARACTERS_PER_TOKEN = 16  # English has about 5; a text of fewer is cut after tokenization


def shorten(
    text: tf.Tensor, tokenizer: Tokenizer, num_tokens: int, ids_of: Callable | None = None
) -> tf.Tensor:
    """Texts whose first tokens, and the tokens' offsets, are those of the given ones.

    A text is cut where a word of the tokenizer ends whatever follows (`Tokenizer.unfinished`), if
    what is before it has `num_tokens` tokens: what follows changes none of these. One where that
    cannot be seen, say a single word of a megabyte, stays as it is. So the costly part of the work
    depends on the model's length, not the text's.

    Args:
        text: string [B].
        tokenizer: of the words.
        num_tokens: how many are needed at most.
        ids_of: what stands for the tokenizer's `ids`: string [B] to [B, None].

    Returns:
        string [B], valid UTF-8.
    """
    text = valid_utf8(text)
    unfinished, ids_of = tokenizer.unfinished, ids_of or tokenizer.ids
    if unfinished is None:
        return text
    longest = CHARACTERS_PER_TOKEN * num_tokens

    def cut():
        start = tf.strings.substr(text, 0, longest, unit="UTF8_CHAR")
        start = tf.strings.regex_replace(start, unfinished, "")
        has_all = ids_of(start).row_lengths() >= num_tokens
        return tf.where(has_all, start, text)

    is_long = tf.strings.length(text) > longest
    return tf.cond(tf.reduce_any(is_long), cut, lambda: text)
