"""Dynamic masking: which positions are predicted, and what the generator sees there."""

import functools
from collections.abc import Callable

from keras import ops

from electra_tf import features
from electra_tf.config import ObjectiveConfig, breakpoints
from electra_tf.models.randomness import Draws
from electra_tf.objectives import over_steps, spans
from electra_tf.objectives.special_tokens import SpecialTokens


def max_masked(length: int, mask_fraction: float) -> int:
    """Number of mask slots M of an example of `length` tokens, the original's rule."""
    return max(1, min(length, int((mask_fraction + 0.005) * length)))


def largest_fraction(objective: ObjectiveConfig) -> float:
    """The largest share of an example's tokens that is masked at any step."""
    points = breakpoints.read(objective.mask_fraction_by_step)
    return max(value for _, value in points) if points else objective.mask_fraction


def final_fraction(objective: ObjectiveConfig) -> float:
    """The share at the end of a run, which evaluations take."""
    points = breakpoints.read(objective.mask_fraction_by_step)
    return points[-1][1] if points else objective.mask_fraction


def slots_of(objective: ObjectiveConfig) -> Callable[[int], int]:
    """The number of mask slots M by the length of an example, the same at every step."""
    return functools.partial(max_masked, mask_fraction=largest_fraction(objective))


def num_masked(num_tokens, mask_fraction: float):
    """How many positions of examples are wanted, float32, from their float32 numbers of tokens."""
    return ops.maximum(ops.round(num_tokens * mask_fraction), 1.0)


def mask(batch, objective: ObjectiveConfig, special: SpecialTokens, draws: Draws):
    """Chooses positions and hides what stands there.

    Args:
        batch: `input_ids`, `input_mask`, `segment_ids` int32 [B, L].
        objective: mask_fraction, perhaps by step, spans, and what is shown.
        special: ids that are never chosen, and [MASK].
        draws: of these rows.

    Returns:
        The batch with the features of `choose_positions` and `masked_input_ids` of `show_masks`.
    """
    points = breakpoints.read(objective.mask_fraction_by_step)
    fraction = over_steps.value_at(points, draws.step) if points else objective.mask_fraction
    slots = slots_of(objective)(batch[features.INPUT_IDS].shape[1]) if points else None
    candidate = candidates(batch, special.never_masked)
    starts = spans.starts(batch, candidate, objective, special, draws)
    batch = choose_positions(batch, special.never_masked, fraction, draws, slots, starts)
    hidden = show_masks(batch, objective, special, draws)
    return {**batch, features.MASKED_INPUT_IDS: hidden}


def choose_positions(
    batch, special_ids, mask_fraction, draws: Draws, slots: int | None = None, starts=None
):
    """Draws the positions to predict, uniformly without replacement.

    Their number is `mask_fraction` of the example's tokens, rounded, at least 1 and at most M. Of
    spans there may be fewer, see `spans.choose`.

    Differs from the original, which draws with replacement, so that some positions come twice
    and fewer tokens are masked than asked for.

    Args:
        batch: `input_ids` and `input_mask` int32 [B, L].
        special_ids: ids never chosen ([CLS], [SEP], [MASK]).
        mask_fraction: share of an example's tokens.
        draws: of these rows.
        slots: M, where mask_fraction is a float32 scalar that changes; None: its `max_masked`.
        starts: of `spans.starts`; None: each token by itself.

    Returns:
        The batch with `masked_positions` and `masked_ids` int32 [B, M] and `masked_weights`
        float32 [B, M]; unused slots are 0.
    """
    input_ids, input_mask = batch[features.INPUT_IDS], batch[features.INPUT_MASK]
    rows, length = input_ids.shape
    most = None if slots is None else ops.floor((mask_fraction + 0.005) * length)
    slots = max_masked(length, mask_fraction) if slots is None else slots
    candidate = candidates(batch, special_ids)
    num_tokens = ops.cast(ops.sum(input_mask, axis=-1, keepdims=True), "float32")
    wanted = num_masked(num_tokens, mask_fraction)
    if most is not None:
        wanted = ops.minimum(wanted, ops.maximum(most, 1.0))
    if starts is None:
        noise = ops.where(candidate, draws.uniform("positions", rows, (length,)), -1.0)
        chosen, positions = ops.top_k(noise, slots)
        used = ops.logical_and(ops.arange(slots, dtype="float32")[None, :] < wanted, chosen >= 0.0)
    else:
        positions, used = spans.choose(starts, candidate, wanted, slots, draws)
    positions = ops.where(used, ops.cast(positions, "int32"), 0)
    ids = ops.where(used, ops.take_along_axis(input_ids, positions, axis=1), 0)
    return {
        **batch,
        features.MASKED_POSITIONS: positions,
        features.MASKED_IDS: ids,
        features.MASKED_WEIGHTS: ops.cast(used, "float32"),
    }


def candidates(batch, special_ids):
    """Which tokens of int32 [B, L] may be masked: all but padding and some special ones; bool."""
    candidate = batch[features.INPUT_MASK] > 0
    for special in special_ids:
        candidate = ops.logical_and(candidate, batch[features.INPUT_IDS] != special)
    return candidate


def show_masks(batch, objective: ObjectiveConfig, special: SpecialTokens, draws: Draws):
    """Shows [MASK] or a random token at some of the masked positions and keeps the others.

    Each position is decided by itself, also of one word, as in BERT and DeBERTa. The original shows
    85 % [MASK] and no random tokens, BERT 80 % and 10 %.

    Differs from BERT, whose random tokens are any of the vocabulary: no special token is shown.

    Args:
        batch: of `choose_positions`.
        objective: mask_token_fraction and random_token_fraction.
        special: of the vocabulary.
        draws: of these rows.

    Returns:
        int32 [B, L], the generator's input ids.
    """
    rows, slots = batch[features.MASKED_IDS].shape
    noise = draws.uniform("mask_tokens", rows, (slots,))
    shown, covered = batch[features.MASKED_IDS], objective.mask_token_fraction
    if objective.random_token_fraction:
        others = _random_tokens(special, draws.uniform("random_tokens", rows, (slots,)))
        shown = ops.where(noise < covered + objective.random_token_fraction, others, shown)
    return replace_masked(batch, ops.where(noise < covered, special.mask_id, shown))


def _random_tokens(special: SpecialTokens, noise):
    """Any token but special ones, int32, of uniform noise."""
    ids = ops.cast(noise * (special.vocab_size - len(special.special_ids)), "int32")
    for special_id in sorted(special.special_ids):  # the tokens from it on move up by one
        ids += ops.cast(ids >= special_id, "int32")
    return ids


def replace_masked(batch, ids):
    """Writes ids at the masked positions.

    Args:
        batch: with `input_ids` int32 [B, L] and the masked positions and weights.
        ids: int32 [B, M]; those with weight 0 are ignored.

    Returns:
        int32 [B, L].
    """
    input_ids, positions = batch[features.INPUT_IDS], batch[features.MASKED_POSITIONS]
    rows, length = input_ids.shape
    # Unused slots point at position 0 and write back what stands there.
    values = ops.where(
        batch[features.MASKED_WEIGHTS] > 0, ids, ops.take_along_axis(input_ids, positions, axis=1)
    )
    flat = positions + ops.arange(rows, dtype="int32")[:, None] * length
    updated = ops.scatter_update(
        ops.reshape(input_ids, (-1,)), ops.reshape(flat, (-1, 1)), ops.reshape(values, (-1,))
    )
    return ops.reshape(updated, (rows, length))


def masked_places(batch):
    """1 at the masked positions and 0 elsewhere, float32 [B, L]."""
    nothing = {**batch, features.INPUT_IDS: ops.zeros_like(batch[features.INPUT_IDS])}
    ones = ops.ones_like(batch[features.MASKED_IDS])
    return ops.cast(replace_masked(nothing, ones), "float32")
