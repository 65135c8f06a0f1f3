"""Sentences in which words were swapped, and what a model makes of them."""

import sys
from typing import Any

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.runs import loaded
from electra_tf.serving.client import show_replaced
from electra_tf.serving.client.replaced_words import words_of

READY = "pretrained:small-wiki-novels"  # what minutes of a GPU make of the same method
THRESHOLD = 0.3  # from which a word is marked: about one token in eight was replaced in training
# Sentences like those of the corpus, written before any model was trained on it, with words
# swapped.
SWAPS = (
    "The old man sat down by the fire. => The old man sat down by the never.",
    "She had not seen her sister for many years. => She had not seen of sister for many years.",
    "He opened the door and went into the room. => He opened the door and went very the room.",
    "I do not know what he will say to me. => I do not know what he will house to me.",
    "It was a cold night, and the wind was high. => It was a cold night, and the wind was spoke.",
    "They walked together to the end of the street. => They walked together to the end of the "
    "because.",
    "There was a letter on the table for her. => There was a letter on the table from when.",
    "My dear friend, you must go to bed at once. => My dear friend, you must go to tell at once.",
    "The young lady looked at him with surprise. => The young morning looked at him with surprise.",
    "We could hear the horses in the yard. => We could hear the horses in the indeed.",
    "He took her hand and said good night. => He took her hand and them good night.",
    "In the morning they set out for London. => In the morning they set out for upon.",
)


def show_own(bundle: str, config: Config) -> None:
    """By a bundle of a run with this config, if it has a discriminator."""
    served = [each.signature for each in objectives.objective_class(config).served]
    if show_replaced.SIGNATURE in served:
        _show(show_replaced.load(bundle))
    else:
        print(f"left out: config.objective.name={config.objective.name} trains no detector of them")


def show_ready() -> None:
    """By the model that comes along."""
    model = loaded.load(READY)

    def detect(texts):
        found: Any = model.predict(texts)
        return [words_of(text, _columns(tokens)) for text, tokens in zip(texts, found, strict=True)]

    _show(detect)


def _show(detect: show_replaced.Detect) -> None:
    pairs = show_replaced.pairs_of(list(SWAPS))
    show_replaced.show(pairs, detect, THRESHOLD, colour=sys.stdout.isatty())


def _columns(tokens: list[dict[str, Any]]) -> dict[str, list]:
    """What `predict` says of a text's tokens, as the signature detect_replaced says it."""
    return {
        "start_offset": [token["start"] for token in tokens],
        "end_offset": [token["end"] for token in tokens],
        "replaced_probability": [token["replaced_probability"] for token in tokens],
    }
