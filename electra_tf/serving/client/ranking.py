"""Alternatives for one text, ranked by how plausible each is; for models here and on servers."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from electra_tf.errors import UserError

_DIGITS = 6  # after the point; the networks compute in float32


class TextScore(NamedTuple):
    """What a model makes of a text.

    Attributes:
        score: the sum over its tokens; more is more plausible.
        num_tokens: those that were scored, without [CLS] and [SEP].
    """

    score: float
    num_tokens: int


def rank(
    lists: Sequence[Sequence[str]],
    scores_of: Callable[[list[str]], Sequence[TextScore]],
    places: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Ranks the texts of each list.

    Args:
        lists: alternatives, one list for each text that is looked for.
        scores_of: scores texts; it gets each text once, those of like length together.
        places: what messages call each list; by default `candidates[0]` and so on.

    Returns:
        For each list `scores`, a number for each of its texts, and `best`, the place of the largest
        from 0, of equal ones the first.

    Raises:
        UserError: a list of something else, an empty one, a text without a token, or a score that
            is no number.
    """
    if isinstance(lists, str | bytes | dict):
        raise UserError(f"candidates must be a list of lists. Received: {lists!r:.60}")
    places = places or [f"candidates[{number}]" for number in range(len(lists))]
    for texts, place in zip(lists, places):
        require_candidates(texts, place)
    distinct = sorted(dict.fromkeys(text for texts in lists for text in texts), key=len)
    known = dict(zip(distinct, scores_of(distinct)))
    rankings = []
    for texts, place in zip(lists, places):
        for text in texts:
            if not known[text].num_tokens:
                raise UserError(f"A candidate must have a token. Received: {text!r:.60} in {place}")
            if not math.isfinite(known[text].score):
                raise UserError(
                    f"A model's scores must be finite. Received: {known[text].score} for "
                    f"{text!r:.60} in {place}"
                )
        scores = [round(known[text].score, _DIGITS) for text in texts]
        rankings.append({"scores": scores, "best": scores.index(max(scores))})
    return rankings


def require_candidates(texts: Any, place: str) -> None:
    """Raises UserError unless these are texts to choose from: at least one, and none empty."""
    rule = "Candidates must be a list of at least one text"
    if not isinstance(texts, Sequence) or isinstance(texts, str | bytes):
        raise UserError(f"{rule}. Received: {texts!r:.60} in {place}")
    if not texts:
        raise UserError(f"{rule}. Received: an empty list in {place}")
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"{rule}, all of them strings. Received: {text!r:.60} in {place}")
        if not text.strip():
            raise UserError(f"A candidate must not be empty. Received: {text!r:.60} in {place}")
