"""Exact match and F1 as the official evaluations of SQuAD 1.1, SQuAD 2.0 and MRQA define them.

All values are fractions of 1; the official programs print per cent.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """Lower case, without ASCII punctuation, without articles, single blanks; in this order."""
    text = text.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(gold: str, predicted: str) -> float:
    """1.0 where both are the same after normalisation."""
    return float(normalize(gold) == normalize(predicted))


def f1(gold: str, predicted: str, empty_agrees: bool) -> float:
    """Harmonic mean of precision and recall over words, counted with repetition.

    Args:
        gold, predicted: answers.
        empty_agrees: what two answers without any word give: 1 in SQuAD 2.0, 0 in 1.1 and MRQA.
    """
    gold_words, words = normalize(gold).split(), normalize(predicted).split()
    if not gold_words or not words:
        return float(empty_agrees and gold_words == words)
    num_same = (Counter(gold_words) & Counter(words)).total()
    # The same as 2PR / (P + R).
    return 2.0 * num_same / (len(gold_words) + len(words))


def score_answers(
    golds: Sequence[Sequence[str]], predicted: Sequence[str], version: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of each question by its best gold answer.

    Args:
        golds: gold answers of each question; in version 2 none means that "" is right.
        predicted: one answer for each question.
        version: 1 or 2.

    Returns:
        (exact match, F1), float64 [questions] each.
    """
    scores = np.zeros((2, len(golds)))
    for index, (answers, text) in enumerate(zip(golds, predicted)):
        if version == 2:
            answers = [answer for answer in answers if normalize(answer)] or [""]
        scores[0, index] = max(exact_match(answer, text) for answer in answers)
        scores[1, index] = max(f1(answer, text, version == 2) for answer in answers)
    return scores[0], scores[1]


def best_threshold(
    scores: np.ndarray, null_odds: np.ndarray, has_answer: np.ndarray, is_empty: np.ndarray
) -> tuple[float, float]:
    """The threshold of the null odds that gives the best mean score.

    Questions with odds up to the threshold are answered, from the surest on. As in the official
    program, questions of equal odds can be parted.

    Differs from the original: where nothing should be answered, the threshold is below all odds
    (there it is 0, above which odds need not be).

    Args:
        scores: float [questions], of the answers given.
        null_odds: float [questions], larger the less there seems to be an answer.
        has_answer: bool [questions], whether there is one.
        is_empty: bool [questions], the answer given is "".

    Returns:
        (mean score, threshold).
    """
    order = np.argsort(null_odds, kind="stable")
    # Not answering is right for every question without answer; an answer to it loses that point.
    change = np.where(has_answer, scores, -1.0 * ~is_empty)[order]
    totals = np.concatenate([[0.0], np.cumsum(change)]) + np.sum(~has_answer)
    best = int(np.argmax(totals))
    threshold = null_odds[order[best - 1]] if best else null_odds[order[0]] - 1.0
    return float(totals[best] / len(scores)), float(threshold)


def with_threshold(
    scores: np.ndarray, null_odds: np.ndarray, has_answer: np.ndarray, threshold: float
) -> np.ndarray:
    """Scores where questions with larger odds than the threshold are left unanswered."""
    return np.where(null_odds > threshold, 1.0 * ~has_answer, scores)


def evaluate(golds: Sequence[Sequence[str]], predicted: Sequence[str]) -> dict[str, float]:
    """Metrics of SQuAD 1.1 and MRQA: `f1` and `exact_match`; see `score_answers`."""
    exact, word_f1 = score_answers(golds, predicted, version=1)
    return {"f1": float(word_f1.mean()), "exact_match": float(exact.mean())}


def evaluate_with_unanswerable(
    golds: Sequence[Sequence[str]],
    predicted: Sequence[str],
    null_odds: Sequence[float],
    threshold: float,
) -> tuple[dict[str, float], Mapping[str, float]]:
    """Metrics of SQuAD 2.0.

    Args:
        golds, predicted: as for `score_answers`; `predicted` before any threshold.
        null_odds: of each question.
        threshold: for the metrics whose names do not begin with "best_".

    Returns:
        (metrics, {"best_f1": …, "best_exact_match": …} the thresholds that were found best).
    """
    odds = np.asarray(null_odds, np.float64)
    has_answer = np.array([len(answers) > 0 for answers in golds])
    is_empty = np.array([not text for text in predicted])
    exact, word_f1 = score_answers(golds, predicted, version=2)
    metrics, thresholds, fixed = {}, {}, {}
    for name, scores in (("f1", word_f1), ("exact_match", exact)):
        metrics[f"best_{name}"], thresholds[f"best_{name}"] = best_threshold(
            scores, odds, has_answer, is_empty
        )
        fixed[name] = with_threshold(scores, odds, has_answer, threshold)
    for name, scores in fixed.items():
        metrics[name] = float(scores.mean())
    for group, members in (("has_answer", has_answer), ("no_answer", ~has_answer)):
        if members.any():
            for name, scores in fixed.items():
                metrics[f"{group}_{name}"] = float(scores[members].mean())
    return metrics, thresholds
