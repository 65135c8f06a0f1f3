"""Spans (entities, chunks) in tag sequences, and their F1 as conlleval and seqeval count it.

Tags are `O` or a letter with a type, `B-PER`; without types also the letter alone.

| scheme | B                                  | I             | E            | S             |
| ------ | ---------------------------------- | ------------- | ------------ | ------------- |
| BIO    | first word of a span               | other words   |              |               |
| IOB1   | first word, directly after a span  | other words   |              |               |
|        | of the same type                   |               |              |               |
| BIOES  | first word of several              | words between | last of some | a span's only |

`spans_of` reads all three, and sequences that follow none of them, by one rule: a word continues
the span of the word before it if that one's letter is B or I, its own is I or E, and the types are
the same; any other word outside `O` starts a span. This is conlleval's rule and seqeval's default,
not seqeval's `mode="strict"`, which counts no span that breaks its scheme; sequences that keep to
their scheme get the same numbers from all of them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SCHEMES = ("BIO", "IOB1", "BIOES")
LETTERS = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES"}
_SPAN_TAG = re.compile(r"([BIES])(-.+)?")


class Span(NamedTuple):
    """Words `start` to `end`, exclusive, with their type; "" where tags have no types."""

    type: str
    start: int
    end: int


def is_span_tag(tag: str) -> bool:
    """Whether a tag is `O` or one of B, I, E and S, with a type or without."""
    return tag == "O" or _SPAN_TAG.fullmatch(tag) is not None


def tag_of(letter: str, type: str) -> str:
    """For example B-PER, or B where there is no type."""
    return f"{letter}-{type}" if type else letter


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of a sentence, by the rule above.

    Differs from the original: its spans end at B, S and O only, so one that goes on with another
    type, as predictions do, becomes a single span of the last type.
    """
    spans, before = [], "O"
    for position, tag in enumerate(tags):
        letter, _, type = tag.partition("-")
        if letter in ("I", "E") and before in ("B", "I") and type == spans[-1].type:
            spans[-1] = spans[-1]._replace(end=position + 1)
        elif letter != "O":
            spans.append(Span(type, position, position + 1))
        before = letter
    return spans


def tags_of(spans: Iterable[Span], length: int, scheme: str) -> tuple[str, ...]:
    """Spans, in order and without overlap, as the tags of a sentence of `length` words."""
    tags, before = ["O"] * length, None
    for span in spans:
        follows = before is not None and (before.type, before.end) == (span.type, span.start)
        letters = ["I"] * (span.end - span.start)
        if scheme != "IOB1" or follows:
            letters[0] = "B"
        if scheme == "BIOES":
            letters[-1] = "E" if len(letters) > 1 else "S"
        tags[span.start : span.end] = (tag_of(letter, span.type) for letter in letters)
        before = span
    return tuple(tags)


def recognise(sentences: Iterable[Sequence[str]]) -> str:
    """Which scheme the tags of sentences follow, all of them `is_span_tag`.

    BIOES if an E or S occurs. IOB1 if there is an I and every B directly follows a word of its
    type, as IOB1 needs it. BIO otherwise.
    """
    letters, needless_b = set(), False
    for tags in sentences:
        before = "O"
        for tag in tags:
            letters.add(tag[0])
            needless_b |= tag[0] == "B" and (before == "O" or before[1:] != tag[1:])
            before = tag
    if letters & {"E", "S"}:
        return "BIOES"
    return "IOB1" if "I" in letters and not needless_b else "BIO"


def span_scores(
    gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> dict[str, float]:
    """`f1`, `precision` and `recall` over the spans of all sentences; 0 where there are none.

    Only spans with the right first word, last word and type are right.
    """
    right = num_gold = num_predicted = 0
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        gold_spans, predicted_spans = set(spans_of(gold_tags)), set(spans_of(predicted_tags))
        right += len(gold_spans & predicted_spans)
        num_gold += len(gold_spans)
        num_predicted += len(predicted_spans)
    return {
        "f1": 2 * right / max(1, num_gold + num_predicted),
        "precision": right / max(1, num_predicted),
        "recall": right / max(1, num_gold),
    }
