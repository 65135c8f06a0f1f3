"""What a discriminator makes of the words of a text, and how a terminal shows it."""

import difflib
from typing import NamedTuple

# Backgrounds of the terminal's 256 colours, from no suspicion to the strongest.
_SHADES = (None, 230, 229, 223, 216, 209, 203)


class Word(NamedTuple):
    """A word of a text: its bytes and the largest probability of its tokens."""

    start: int
    end: int
    text: str
    probability: float


class Comparison(NamedTuple):
    """A changed word: before and after, and its rank (1: the most suspicious) among all words."""

    old: Word
    new: Word
    rank: int
    num_words: int


def words_of(text: str, answer: dict[str, list]) -> list[Word]:
    """The words of a text with their probabilities, in order.

    Tokens whose places overlap are one word; one with an empty place, a mere blank, is none.

    Args:
        text: what was asked about.
        answer: of the signature detect_replaced for this text: `start_offset`, `end_offset`,
            `replaced_probability`, lists of equal length.
    """
    data, words = text.encode(), []
    for start, end, probability in sorted(
        zip(answer["start_offset"], answer["end_offset"], answer["replaced_probability"])
    ):
        if start == end:  # [CLS], [SEP], padding or a blank
            continue
        if words and start < words[-1].end:
            last = words.pop()
            start, end = last.start, max(last.end, end)
            probability = max(last.probability, probability)
        words.append(Word(start, end, data[start:end].decode(), probability))
    return words


def compare(original: list[Word], changed: list[Word]) -> list[Comparison]:
    """The words that stand in the changed text in the place of others."""
    matcher = difflib.SequenceMatcher(
        None, [word.text for word in original], [word.text for word in changed], autojunk=False
    )
    found = []
    for kind, first, last, new_first, _ in matcher.get_opcodes():
        if kind == "replace":
            for old, new in zip(original[first:last], changed[new_first:]):
                rank = 1 + sum(word.probability > new.probability for word in changed)
                found.append(Comparison(old, new, rank, len(changed)))
    return found


def shaded(text: str, probability: float, threshold: float) -> str:
    """The text on a background that tells how suspicious it is."""
    shade = _SHADES[min(int(probability / threshold * 2), len(_SHADES) - 1)]
    return f"\x1b[30;48;5;{shade}m{text}\x1b[0m" if shade else text


def render(text: str, words: list[Word], threshold: float, colour: bool) -> str:
    """The text with its suspicious words marked.

    Args:
        text: as it was asked about.
        words: of it, with probabilities.
        threshold: probability from which a word is suspicious.
        colour: shade every word; else a suspicious word carries its probability.
    """
    data, parts, position = text.encode(), [], 0
    for word in words:
        parts.append(data[position : word.start].decode())
        if colour:
            parts.append(shaded(word.text, word.probability, threshold))
        elif word.probability >= threshold:
            parts.append(f"{word.text}[{word.probability:.2f}]")
        else:
            parts.append(word.text)
        position = word.end
    return "".join(parts) + data[position:].decode()
