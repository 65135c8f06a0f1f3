"""Held-out rows as words: what was masked, what a network put there, what was suspected."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from electra_tf import features
from electra_tf.objectives.samples import Samples
from electra_tf.text.vocabulary import Vocabulary

MOST_TOKENS = 128  # of a row that are looked at
_SUSPICIOUS = 0.3  # probability from which on it stands beside a word
_MARKUP = frozenset("\\`*_[]<>|~&#!")  # characters that mean something in Markdown


class Word(NamedTuple):
    """A word of a row, as it stands in three versions of the text.

    Attributes:
        original: in the data.
        shown: to the network that predicts.
        put: by that network; a discriminator reads it.
        is_masked: whether it has a masked position.
        probability: that the discriminator takes it for replaced, the largest of its tokens'; None
            without a discriminator.
    """

    original: str
    shown: str
    put: str
    is_masked: bool
    probability: float | None


def words_of(batch: Mapping[str, Any], found: Samples, vocabulary: Vocabulary) -> list[list[Word]]:
    """The words of each row that is no padding.

    Args:
        batch: rows, int32 [B, L].
        found: what the networks make of them.
        vocabulary: of the ids.
    """
    ids, mask = (np.asarray(batch[name]) for name in (features.INPUT_IDS, features.INPUT_MASK))
    shown, text, masked = (np.asarray(it) for it in (found.shown, found.text, found.places))
    probabilities = None
    if found.logits is not None:
        probabilities = 1 / (1 + np.exp(-np.asarray(found.logits, np.float64)))
    begins, special = vocabulary.begins_word(), (vocabulary.cls_id, vocabulary.sep_id)

    def word(row: int, places: list[int]) -> Word:
        return Word(
            _text(ids[row, places], vocabulary),
            _text(shown[row, places], vocabulary),
            _text(text[row, places], vocabulary),
            bool(masked[row, places].any()),
            None if probabilities is None else float(probabilities[row, places].max()),
        )

    rows = []
    for row in map(int, np.flatnonzero(mask.any(axis=1))):
        words: list[list[int]] = []
        for place in np.flatnonzero(mask[row])[:MOST_TOKENS]:
            token = ids[row, place]
            if token in special:
                continue
            if words and not begins[token]:
                words[-1].append(place)
            else:
                words.append([place])
        rows.append([word(row, places) for places in words])
    return rows


def _text(ids, vocabulary: Vocabulary) -> str:
    """Tokens of one word as text: pieces close up to what stands before them."""
    known = vocabulary.tokens  # the model may have more: a generator may draw one of those
    return vocabulary.joined([known[id] if id < len(known) else f"[{id}]" for id in ids])


def markdown(rows: Sequence[Sequence[Word]]) -> str:
    """Rows as Markdown: the text with what was put, and a table of the masked words."""
    parts = []
    for number, words in enumerate(rows, 1):
        text = " ".join(map(_in_text, words))
        judged = any(word.probability is not None for word in words)
        header = ["original", "shown", "put", *["probability of a replacement"] * judged]
        table = [header, ["---"] * len(header)]
        for word in words:
            if word.is_masked:
                cells = [_escaped(each) for each in (word.original, word.shown, word.put)]
                table.append(cells if word.probability is None else [*cells, _two(word)])
        lines = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
        parts.append(f"**Text {number}:** {text}\n\n{lines}")
    return "\n\n".join(parts)


def _in_text(word: Word) -> str:
    put = f"**{_escaped(word.put)}**" if word.is_masked else _escaped(word.put)
    suspicious = word.probability is not None and word.probability >= _SUSPICIOUS
    return f"{put} ({_two(word)})" if suspicious else put


def _two(word: Word) -> str:
    return f"{word.probability:.2f}"


def _escaped(text: str) -> str:
    return "".join(f"&#{ord(each)};" if each in _MARKUP else each for each in text)
