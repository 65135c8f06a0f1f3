"""Sentences of words as rows of tokens: long ones as several, each word's first token marked."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from electra_tf import features
from electra_tf.tasks.base import Encoded
from electra_tf.text.tokenizer import Tokenizer

LABELS = "labels"  # int32 [B, L], the class of each word at its first piece, -1 elsewhere


@dataclasses.dataclass
class WordRows(Encoded):
    """Encoded sentences.

    Attributes:
        starts: bool [N, L], true at the first piece of each word. Read row by row, these are the
            words of all sentences in their order, each exactly once.
    """

    starts: np.ndarray


def encode_words(
    sentences: Sequence[Sequence[str]],
    classes: Sequence[Sequence[int]] | None,
    tokenizer: Tokenizer,
    max_seq_length: int,
) -> WordRows:
    """Makes the rows of sentences.

    Their length is that of the longest, rounded up to a multiple of 8, at most `max_seq_length`.

    Args:
        sentences: words of each.
        classes: in training those of the words; then sentences without words have no row.
        tokenizer: text to ids; a word of which nothing is left is [UNK].
        max_seq_length: tokens of the longest row; a word that alone is longer is cut.
    """
    room, vocabulary = max_seq_length - 2, tokenizer.vocabulary
    pieces = _pieces_of_words(sentences, tokenizer, room)
    tokens, starts, rows, labels = [], [], [], []
    for number, words in enumerate(sentences):
        if classes is not None and not words:
            continue  # nothing to learn from
        for window in windows([len(pieces[word]) for word in words], room):
            row, first = [vocabulary.cls_id], []
            for word in words[window]:
                first.append(len(row))
                row += pieces[word]
            tokens.append([*row, vocabulary.sep_id])
            starts.append(first)
            rows.append(number)
        if classes is not None:
            labels += classes[number]
    longest = max(map(len, tokens), default=2)
    shape = len(tokens), min(max_seq_length, longest + -longest % 8)
    encoded = WordRows(
        {
            features.INPUT_IDS: np.full(shape, vocabulary.pad_id, np.int32),
            features.INPUT_MASK: np.zeros(shape, np.int32),
            features.SEGMENT_IDS: np.zeros(shape, np.int32),
        },
        np.array(rows, np.int32),
        np.zeros(shape, bool),
    )
    for number, (row, first) in enumerate(zip(tokens, starts)):
        encoded.features[features.INPUT_IDS][number, : len(row)] = row
        encoded.features[features.INPUT_MASK][number, : len(row)] = 1
        encoded.starts[number, first] = True
    if classes is not None:
        encoded.features[LABELS] = np.full(shape, -1, np.int32)
        encoded.features[LABELS][encoded.starts] = labels
    return encoded


def windows(lengths: Sequence[int], room: int) -> list[slice]:
    """Cuts a sentence between words into windows of similar length.

    Args:
        lengths: tokens of each word, at most `room` each.
        room: tokens of the longest window.

    Returns:
        Slices of the words; one empty slice where there are none. As many as the tokens need,
        or some more where words of many tokens leave gaps.
    """
    total = sum(lengths)
    target = total / max(1, math.ceil(total / room))
    cuts, used = [0], 0
    for word, length in enumerate(lengths):
        if used and (used >= target or used + length > room):
            cuts.append(word)
            used = 0
        used += length
    return [slice(*pair) for pair in zip(cuts, [*cuts[1:], len(lengths)])]


def _pieces_of_words(
    sentences: Sequence[Sequence[str]], tokenizer: Tokenizer, room: int
) -> dict[str, list[int]]:
    """The ids of every distinct word, 1 to `room` of them."""
    words = list(dict.fromkeys(word for sentence in sentences for word in sentence))
    return {
        word: ids[:room] or [tokenizer.vocabulary.unk_id]
        for word, ids in zip(words, tokenizer.tokenize(words))
    }
