"""Whether a model finds a right sentence more plausible than a wrong one that differs in a word.

The pairs are made of the held-out part of a data set by the rules of `corruptions`, so no model
has seen them, and models of one vocabulary are asked about the same pairs. As in BLiMP
(https://arxiv.org/abs/1912.00582) a model is right where the score of the right sentence, by
`LoadedPretrained.rank`, is the higher one.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from electra_tf import features
from electra_tf.data import dataset
from electra_tf.data.description import read_description
from electra_tf.errors import UserError
from electra_tf.probes.corruptions import RULES
from electra_tf.text import tokenization
from electra_tf.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from electra_tf.runs.loaded import LoadedPretrained

_LENGTHS = range(6, 31)  # words of a sentence, without its full stop
_LETTERS = {"a", "i"}  # words of one letter; others are what is left of abbreviations
_SHOWN = 3  # pairs of each rule among the results


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two sentences of the same number of tokens."""

    right: str
    wrong: str


def probe(
    model: "LoadedPretrained", data_dir: str, num_pairs: int = 200, seed: int = 0
) -> dict[str, Any]:
    """Asks a model about the pairs of a data set.

    Args:
        model: can score: of an objective with a discriminator, electric or mlm.
        data_dir: shards with a held-out part, of the model's vocabulary.
        num_pairs: of each rule, if there are as many.
        seed: of the choice.

    Returns:
        `n`, the number of pairs, `accuracy`, the share of them that is told apart (equal scores
        count one half), and its `standard_error`; `rules`, the same of each, and some `examples`.

    Raises:
        UserError: the model cannot score, the data have another vocabulary, or no rule finds a
            sentence.
    """
    model.require("score")
    if model.tokenizer is None:
        raise UserError(
            f"A model to probe must have a vocabulary. Received: {model.directory} without"
        )
    vocabulary = model.tokenizer.vocabulary
    split = dataset.open_split(data_dir, "eval")
    dataset.require_ids_below(split, len(vocabulary), model.directory)
    tokenization.require_same(
        model.config.data.tokenizer_fingerprint,
        (read_description(data_dir) or {}).get("tokenizer_fingerprint"),
        f"The data must have the vocabulary of {model.directory}. Received: {data_dir}",
    )
    rows = (
        row[mask > 0]
        for batch in dataset.eval_batches(split, batch_size=256).as_numpy_iterator()
        for row, mask in zip(batch[features.INPUT_IDS], batch[features.INPUT_MASK])
    )
    pairs = choose(sentences(rows, vocabulary), vocabulary, num_pairs, seed)
    if not pairs:
        raise UserError(
            "The held-out part of a data set must have English sentences that a rule applies to. "
            f"Received: {data_dir} without"
        )
    right = {name: _ask(model, chosen) for name, chosen in pairs.items()}
    rules = {
        name: _share(right[name]) | {"examples": [vars(pair) for pair in chosen[:_SHOWN]]}
        for name, chosen in pairs.items()
    }
    return _share(np.concatenate([*right.values()])) | {"rules": rules}


def sentences(rows: Iterable[np.ndarray], vocabulary: Vocabulary) -> Iterator[list[str]]:
    """The plain sentences of examples, as words, without their full stops.

    Args:
        rows: token ids of an example each, int [n].
        vocabulary: what they mean.
    """
    special = set(vocabulary.SPECIAL)
    for row in rows:
        tokens = (vocabulary.tokens[each] for each in row)
        for is_special, part in itertools.groupby(tokens, special.__contains__):
            words: list[str] | None = None  # None: the beginning of a sentence was not seen
            for word in () if is_special else vocabulary.plain_words(part):
                if word == ".":
                    if words is not None and len(words) in _LENGTHS and all(map(_is_plain, words)):
                        yield words
                    words = []
                elif words is not None:
                    words.append(word)


def choose(
    found: Iterable[Sequence[str]], vocabulary: Vocabulary, num_pairs: int, seed: int
) -> dict[str, list[Pair]]:
    """Pairs by rule, chosen among all that the sentences allow; no rule without any.

    Args:
        found: sentences as words.
        vocabulary: in which all words that are changed are whole tokens.
        num_pairs: of each rule at most.
        seed: of the choice.
    """
    pairs: dict[str, list[Pair]] = {name: [] for name in RULES}
    for words in dict.fromkeys(map(tuple, found)):
        for name, rule in RULES.items():
            for place, others in rule(words):
                changed = {*others, *words[place : place + len(others)]}
                if all(map(vocabulary.has_word, changed)):
                    wrong = (*words[:place], *others, *words[place + len(others) :])
                    pairs[name].append(Pair(_text(words), _text(wrong)))
    random = np.random.default_rng(seed)
    return {
        name: [every[number] for number in random.permutation(len(every))[:num_pairs]]
        for name, every in pairs.items()
        if every
    }


def _ask(model: "LoadedPretrained", pairs: Sequence[Pair]) -> np.ndarray:
    """For each pair 1 where the right sentence has the higher score, 0.5 where they are equal."""
    ranked = model.rank([[pair.right, pair.wrong] for pair in pairs])
    margins = np.array([right - wrong for right, wrong in (each["scores"] for each in ranked)])
    return (margins > 0) + 0.5 * (margins == 0)


def _share(right: np.ndarray) -> dict[str, Any]:
    share = float(right.mean())
    error = math.sqrt(share * (1 - share) / len(right))
    return {"n": len(right), "accuracy": share, "standard_error": error}


def _text(words: Sequence[str]) -> str:
    return " ".join((*words, "."))


def _is_plain(word: str) -> bool:
    return word == "," or word.isalpha() and word.isascii() and (len(word) > 1 or word in _LETTERS)
