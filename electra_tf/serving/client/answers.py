"""Answers of a servable model as plain lists, and as lines of text for people."""

import json
from collections.abc import Callable

from electra_tf.serving.client import replaced_words

_BOLD, _DIM, _END = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def plain(array) -> list:
    """Nested lists of a NumPy array; bytes become text, invalid UTF-8 the replacement character."""
    return _decoded(array.tolist()) if array.dtype == object else array.tolist()


def rows_of(columns: dict[str, list]) -> list[dict]:
    """The answers to each text of a batch: {name: [B, …]} to B times {name: […]}."""
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def render(inputs: dict[str, str], answer: dict, threshold: float, colour: bool) -> str:
    """An answer as a person reads it, by the first of `RENDERERS` whose names it has.

    Args:
        inputs: of one text or pair, by name.
        answer: its row of the outputs.
        threshold: probability from which a word is suspicious, for replaced tokens.
        colour: with the terminal's colours.

    Returns:
        A line, or a few; JSON for an answer of other names.
    """
    if answer.keys() >= {"replaced_probability", "start_offset", "end_offset"}:
        text = inputs["text"]
        return replaced_words.render(text, replaced_words.words_of(text, answer), threshold, colour)
    for names, rendered in RENDERERS.items():
        if answer.keys() >= set(names):
            return rendered(answer, colour)
    return json.dumps(answer, ensure_ascii=False)


def _labels(answer: dict, colour: bool) -> str:
    pairs = sorted(zip(answer["probabilities"], answer["labels"]), reverse=True)
    chosen = (
        [answer["label"]]
        if "label" in answer
        else [label for label, is_chosen in zip(answer["labels"], answer["chosen"]) if is_chosen]
    )
    named = _strong(", ".join(chosen) or "(none)", colour)
    return f"{named}  ({', '.join(f'{label} {probability:.3f}' for probability, label in pairs)})"


def _tags(answer: dict, colour: bool) -> str:
    parts = []
    for word, tag, is_word in zip(answer["words"], answer["tags"], answer["mask"]):
        if is_word:
            parts.append(word if tag == "O" else _strong(f"{word}/{tag}", colour))
    return " ".join(parts)


def _answer(answer: dict, colour: bool) -> str:
    scores = f"score {answer['score']:.3f}"
    if "null_score" in answer:
        scores += f", null score {answer['null_score']:.3f}"
    if colour:
        scores = f"{_DIM}{scores}{_END}"
    return f"{_strong(answer['answer'] or '(no answer)', colour)}  ({scores})"


def _filled(answer: dict, colour: bool) -> str:
    lines = []
    for tokens, probabilities, is_there in zip(
        answer["tokens"], answer["probabilities"], answer["mask"]
    ):
        if is_there:
            rest = zip(tokens, probabilities)
            lines.append(
                _strong(tokens[0], colour)
                + "  ("
                + ", ".join(f"{token} {probability:.3f}" for token, probability in rest)
                + ")"
            )
    return "\n".join(lines) or "(no [MASK])"


def _token_scores(answer: dict, colour: bool) -> str:
    pairs = zip(answer["tokens"], answer["token_scores"], answer["end_offset"])
    tokens = ", ".join(f"{token} {score:.3f}" for token, score, end in pairs if end)
    return f"{_strong(format(answer['score'], '.4f'), colour)}  ({tokens or 'no tokens'})"


def _score(answer: dict, colour: bool) -> str:
    if len(answer) > 1:  # then it is the least of what there is to show
        return json.dumps(answer, ensure_ascii=False)
    return _strong(f"{answer['score']:.4f}", colour)


def _strong(text: str, colour: bool) -> str:
    return f"{_BOLD}{text}{_END}" if colour else text


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value.decode(errors="replace")


# What shows an answer, from (answer, colour), by the outputs that it reads. The order matters for
# `score`, which others have, too.
RENDERERS: dict[tuple[str, ...], Callable[[dict, bool], str]] = {
    ("tags", "words", "mask"): _tags,
    ("label", "labels", "probabilities"): _labels,
    ("chosen", "labels", "probabilities"): _labels,
    ("answer", "score"): _answer,
    ("positions", "tokens", "probabilities", "mask"): _filled,
    ("score", "token_scores", "tokens", "end_offset"): _token_scores,
    ("score",): _score,
}
