"""From scored spans of windows to one answer for each question."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from electra_tf.tasks.squad.files import Questions
from electra_tf.tasks.squad.windows import EncodedWindows, best_windows

# Of a question without any window, its context being empty: surely above every threshold.
NO_WINDOW_ODDS = 1e6


@dataclasses.dataclass
class Answers:
    """Predictions by question id.

    Attributes:
        texts: the likeliest answer, "" only if there is none to choose.
        null_odds: larger the less there seems to be an answer; empty without classifier.
        nbest: the likeliest answers with distinct texts, dicts of `text`, `probability` (among
            these answers), `start_log_prob`, `end_log_prob`.
    """

    texts: dict[str, str]
    null_odds: dict[str, float]
    nbest: dict[str, list[dict[str, Any]]]

    def texts_with_threshold(self, threshold: float) -> dict[str, str]:
        """The texts, "" where the null odds are larger than the threshold."""
        return {
            name: "" if self.null_odds.get(name, -np.inf) > threshold else text
            for name, text in self.texts.items()
        }


def decode(
    examples: Questions,
    encoded: EncodedWindows,
    outputs: Mapping[str, np.ndarray],
    *,
    max_answer_length: int,
    n_best_size: int,
) -> Answers:
    """Chooses answers, as in the original.

    A span counts if it lies in the context, starts in the window in which its first token has
    the most context, and has at most `max_answer_length` tokens. Its score is the sum of the two
    log-probabilities; the null odds are the lowest of all windows.

    Differs from the original: the text is cut out of the context at the borders of words (which
    are split at punctuation), not put together from tokens; a question without any span gets ""
    (there "empty").

    Args:
        examples: the questions.
        encoded: their rows.
        outputs: of `SpanHead.best_spans` for all rows.
        max_answer_length: in tokens.
        n_best_size: answers kept.
    """
    answers = Answers({}, {}, {})
    bounds = np.searchsorted(encoded.rows, np.arange(len(examples) + 1))
    for index, question in enumerate(examples.questions):
        rows = slice(bounds[index], bounds[index + 1])
        tokens = encoded.contexts.tokens_of(question.context)
        starts, ends = encoded.contexts.starts[tokens], encoded.contexts.ends[tokens]
        context, nbest, seen = examples.contexts[question.context], [], set()
        for first, last, start_log_prob, end_log_prob in _ranked_spans(
            encoded, outputs, rows, max_answer_length
        ):
            text = context[starts[first] : ends[last]]
            if text not in seen:
                seen.add(text)
                nbest.append(
                    {
                        "text": text,
                        "start_log_prob": float(start_log_prob),
                        "end_log_prob": float(end_log_prob),
                    }
                )
            if len(nbest) == n_best_size:
                break
        scores = [entry["start_log_prob"] + entry["end_log_prob"] for entry in nbest]
        for entry, probability in zip(nbest, special.softmax(scores) if nbest else ()):
            entry["probability"] = float(probability)
        answers.nbest[question.id] = nbest
        answers.texts[question.id] = nbest[0]["text"] if nbest else ""
        if "answerable_logit" in outputs:
            odds = outputs["answerable_logit"][rows]
            answers.null_odds[question.id] = float(np.min(odds, initial=NO_WINDOW_ODDS))
    return answers


def _ranked_spans(encoded, outputs, rows, max_answer_length):
    """Yields (first token, last token, both log-probabilities), best first; tokens of the context.

    Ties keep the order of windows, then of starts, then of ends.
    """
    first_tokens, num_tokens = encoded.first_tokens[rows], encoded.num_tokens[rows]
    if not len(first_tokens):
        return
    offsets = encoded.offsets[rows]
    start = outputs["start_top_index"][rows] - offsets[:, None]  # [W, k], counted in the window
    end = outputs["end_top_index"][rows] - offsets[:, None, None]  # [W, k, k]
    inside = (start >= 0) & (start < num_tokens[:, None])
    owner = best_windows(first_tokens, num_tokens)
    token = np.where(inside, start + first_tokens[:, None], 0)
    inside &= owner[token] == np.arange(len(start))[:, None]
    length = end - start[:, :, None] + 1
    valid = (
        inside[:, :, None]
        & (end < num_tokens[:, None, None])
        & (length >= 1)
        & (length <= max_answer_length)
    )
    window, i, j = np.nonzero(valid)
    start_log_probs = outputs["start_top_log_probs"][rows][window, i]
    end_log_probs = outputs["end_top_log_probs"][rows][window, i, j]
    order = np.argsort(-(start_log_probs + end_log_probs), kind="stable")
    firsts, lasts = token[window, i], first_tokens[window] + end[window, i, j]
    for one in order:
        yield firsts[one], lasts[one], start_log_probs[one], end_log_probs[one]
