"""Masking of whole words, and of runs of them: `config.objective.span`.

| name  | masked together                                                                  |
| ----- | -------------------------------------------------------------------------------- |
| token | each token by itself, as in the paper                                            |
| word  | the tokens of a word (BERT's whole-word masking)                                 |
| ngram | 1 to `config.objective.span_max_words` words n, with a probability like 1/n, as  |
|       | in ALBERT (arXiv 1909.11942) and DeBERTa (arXiv 2006.03654)                      |

Where a word begins says the tokenizer. What is never masked ends a word and a run, and so does a
segment or document; a word that an example cuts is as long as what is left of it.
"""

import numpy as np
from keras import ops

from electra_tf import features
from electra_tf.config import ObjectiveConfig
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives.special_tokens import SpecialTokens


def check(objective: ObjectiveConfig, special: SpecialTokens) -> None:
    """Raises UserError if words are to be masked of a tokenizer that knows none."""
    if objective.span != "token" and special.begins_word is None:
        raise UserError(
            "config.objective.span must be token for a tokenizer that does not tell which tokens "
            f"begin a word (Vocabulary.begins_word). Received: {objective.span}"
        )


def starts(batch, candidate, objective: ObjectiveConfig, special: SpecialTokens, draws: Draws):
    """Where what is masked together begins; it ends before the next start or no candidate.

    A row is cut into runs of words from its left to its right, of lengths that are drawn one after
    the other, so that every word is in one run. The end of a segment or document cuts a run.

    Args:
        batch: `input_ids`, `segment_ids` and perhaps `document_ids`, int32 [B, L].
        candidate: bool [B, L], tokens that may be masked.
        objective: span and span_max_words.
        special: with `begins_word`.
        draws: of these rows.

    Returns:
        bool [B, L]; None where each candidate is one.
    """
    if objective.span == "token":
        return None
    part = ops.logical_and(candidate, _begins_part(batch, candidate))
    begins = ops.take(ops.convert_to_tensor(special.begins_word), batch[features.INPUT_IDS], axis=0)
    word = ops.logical_or(part, ops.logical_and(candidate, begins))
    if objective.span == "word":
        return word
    rows, length = candidate.shape
    noise = draws.uniform("span_words", rows, (length,))
    ends = ops.cumsum(num_words(noise, objective.span_max_words), axis=-1)
    number = _numbers(word)  # of the word, from 0 on
    # Whether a run begins at the word of a number; that of all numbers beyond the row is not asked.
    flat = ops.arange(rows)[:, None] * (length + 1) + ops.cast(ops.minimum(ends, length), "int32")
    begins = ops.scatter_update(
        ops.zeros((rows * (length + 1),)),
        ops.reshape(flat, (-1, 1)),
        ops.ones((rows * length,)),
    )
    begins = ops.take_along_axis(ops.reshape(begins, (rows, length + 1)), number, axis=1) > 0.0
    return ops.logical_or(part, ops.logical_and(word, begins))


def num_words(noise, most: int):
    """Lengths n of runs, P(n) = (1/n) / (1 + 1/2 + ... + 1/most), float32, of uniform noise."""
    shares = np.cumsum(1.0 / np.arange(1, most + 1))
    beyond = [ops.cast(noise >= share, "float32") for share in shares[:-1] / shares[-1]]
    return sum(beyond, ops.ones_like(noise))


def choose(starts, candidate, wanted, slots: int, draws: Draws):
    """Draws spans in random order; takes one if it fits entirely into what is still wanted.

    So does BERT: what is too long is left out, and the next one is tried. Of shorter spans there
    are nearly always enough to reach the number. If none fits at all, the first one drawn is cut
    to the number: every example has something to predict.

    Args:
        starts: bool [B, L], of `starts`.
        candidate: bool [B, L].
        wanted: float32 [B, 1], number of tokens, at least 1.
        slots: M.
        draws: of these rows.

    Returns:
        (positions int32 [B, M], rising, bool [B, M] which of them are used).
    """
    rows, length = candidate.shape
    wanted = ops.minimum(wanted, float(slots))
    places = ops.arange(length, dtype="float32")[None, :]
    # Spans by their number, from the left. A span has all candidates from its start to the next.
    firsts = ops.sort(ops.where(starts, places, float(length)), axis=-1)
    count = ops.cumsum(ops.cast(candidate, "float32"), axis=-1)
    before = ops.take_along_axis(
        ops.pad(count, ((0, 0), (1, 0))), ops.cast(firsts, "int32"), axis=1
    )
    sizes = ops.concatenate([before[:, 1:], count[:, -1:]], axis=-1) - before
    noise = draws.uniform("positions", rows, (length,))
    _, order = ops.top_k(ops.where(sizes > 0.0, noise, -1.0), length)
    in_order = ops.take_along_axis(sizes, order, axis=1)
    taken = first_fit(in_order, wanted, slots)
    none = ops.logical_not(ops.any(taken, axis=-1, keepdims=True))
    first = ops.logical_and(ops.arange(length) == 0, in_order > 0.0)
    taken = ops.logical_or(taken, ops.logical_and(none, first))
    taken = ops.take_along_axis(ops.cast(taken, "float32"), ops.argsort(order, axis=-1), axis=1)
    chosen = ops.take_along_axis(taken, _numbers(starts), axis=1)
    chosen = ops.logical_and(candidate, chosen > 0.0)
    left, positions = ops.top_k(ops.where(chosen, length - places, 0.0), slots)
    used = ops.logical_and(left > 0.0, ops.arange(slots, dtype="float32")[None, :] < wanted)
    return ops.cast(positions, "int32"), used


def first_fit(sizes, wanted, most: int):
    """Which spans are taken, one after the other, each if it fits into what is left.

    One round takes all up to the first that does not fit; then what is left is smaller than that
    one. Rounds go on while any span fits, three or four times in practice.

    Args:
        sizes: float32 [B, N], whole numbers, in the order of trying; 0 for none.
        wanted: float32 [B, 1].
        most: number that no `wanted` is above.

    Returns:
        bool [B, N].
    """

    def fitting(taken, left):
        untried = ops.logical_and(ops.logical_not(taken), sizes > 0.0)
        return ops.logical_and(untried, sizes <= left)

    def go_on(taken, left):
        return ops.any(fitting(taken, left))

    def take(taken, left):
        tried = ops.where(fitting(taken, left), sizes, 0.0)
        new = ops.logical_and(tried > 0.0, ops.cumsum(tried, axis=-1) <= left)
        left = left - ops.sum(ops.where(new, tried, 0.0), axis=-1, keepdims=True)
        return ops.logical_or(taken, new), left

    nothing = ops.zeros_like(sizes, dtype="bool")
    return ops.while_loop(go_on, take, (nothing, wanted), maximum_iterations=most)[0]


def _begins_part(batch, candidate):
    """Where no word goes on: after what is never masked, in a new segment or document."""
    new = ops.logical_not(_shifted(candidate))
    for name in (features.SEGMENT_IDS, features.DOCUMENT_IDS):
        if name in batch:
            new = ops.logical_or(new, _shifted(batch[name]) != batch[name])
    return new


def _shifted(values):
    """What stands one place to the left; 0 or False at the beginning of a row."""
    return ops.pad(values[:, :-1], ((0, 0), (1, 0)))


def _numbers(starts):
    """Number of the last start at or before each place, from 0 on; 0 before the first; int32."""
    counted = ops.cumsum(ops.cast(starts, "float32"), axis=-1)
    return ops.cast(ops.maximum(counted - 1.0, 0.0), "int32")
