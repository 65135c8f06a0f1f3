"""What stands at masked positions: [MASK], a random token, or the token itself."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective, masking, validate
from electra_tf.objectives.special_tokens import SpecialTokens
from electra_tf.speed import synthetic

VOCAB, ROWS, LENGTH = 61, 3000, 40


def config_of(**objective) -> Config:
    config = Config()
    config.model.vocab_size, config.train.batch_size = VOCAB, ROWS
    for name, value in objective.items():
        setattr(config.objective, name, value)
    return validate(config)


def prepared(config):
    objective = build_objective(config, synthetic.SyntheticVocabulary(VOCAB))
    batch = {name: tf.constant(value) for name, value in synthetic.batch(config, LENGTH).items()}
    batch = objective.prepare(batch, Draws(0, 0, ROWS))
    return {name: value.numpy() for name, value in batch.items()}


@pytest.mark.parametrize("name", ["mlm", "electra", "electra_15", "replace_mlm", "all_tokens_mlm"])
@pytest.mark.parametrize("span", ["token", "ngram"])
def test_berts_shares(name, span):
    """Of 15 %: 80 % [MASK], 10 % random tokens, of which 1 in V - 5 is the right one."""
    fields = {"mask_token_fraction": 0.8, "random_token_fraction": 0.1}
    batch = prepared(config_of(name=name, span=span, **fields))
    used, right = batch["masked_weights"] > 0, batch["masked_ids"]
    shown = np.take_along_axis(batch["masked_input_ids"], batch["masked_positions"], 1)
    total = used.sum()
    assert total / (ROWS * LENGTH) == pytest.approx(0.15, rel=0.01)
    changed = used & (shown != 4) & (shown != right)
    chance = 1 / (VOCAB - 5)
    expected = {"masked": 0.8, "changed": 0.1 * (1 - chance), "kept": 0.1 * (1 + chance)}
    observed = {
        "masked": (used & (shown == 4)).sum(),
        "changed": changed.sum(),
        "kept": (used & (shown == right)).sum(),
    }
    frequencies = [observed[each] for each in expected]
    assert sum(frequencies) == total
    assert stats.chisquare(frequencies, [total * p for p in expected.values()]).pvalue > 1e-3
    others = np.ones(batch["input_ids"].shape, bool)
    np.put_along_axis(others, batch["masked_positions"], False, 1)
    assert (batch["masked_input_ids"] == batch["input_ids"])[others].all()


def test_random_tokens_are_any_but_special_ones():
    special = SpecialTokens(cls_id=20, sep_id=0, mask_id=60, vocab_size=VOCAB, others=(1, 21))
    config = config_of(mask_token_fraction=0.0, random_token_fraction=1.0, mask_fraction=0.5)
    ids = np.full((ROWS, LENGTH), 5, np.int32)
    batch = {name: tf.constant(ids) for name in ("input_ids", "input_mask", "segment_ids")}
    masked = masking.mask(batch, config.objective, special, Draws(0, 0, ROWS))
    shown = tf.gather(masked["masked_input_ids"], masked["masked_positions"], batch_dims=1)
    observed = np.bincount(shown.numpy()[masked["masked_weights"].numpy() > 0], minlength=VOCAB)
    allowed = np.setdiff1d(np.arange(VOCAB), [20, 0, 60, 1, 21])
    assert observed.sum() == ROWS * LENGTH // 2 == observed[allowed].sum()
    assert stats.chisquare(observed[allowed]).pvalue > 1e-3


def test_shares_of_masks_and_what_is_shown_are_independent():
    """30 % masked, all of it shown as [MASK]."""
    batch = prepared(config_of(name="mlm", mask_fraction=0.3, mask_token_fraction=1.0))
    assert (batch["masked_weights"].sum(1) == 12).all()
    assert ((batch["masked_input_ids"] == 4).sum(1) == 12).all()


def test_without_random_tokens_nothing_else_is_drawn():
    drawn = []

    class Watched(Draws):
        def uniform(self, name, *arguments):
            drawn.append(name)
            return super().uniform(name, *arguments)

    config = config_of()
    batch = {name: tf.constant(value) for name, value in synthetic.batch(config, LENGTH).items()}
    special = SpecialTokens.of(synthetic.SyntheticVocabulary(VOCAB))
    masking.mask(batch, config.objective, special, Watched(0, 0, ROWS))
    assert "random_tokens" not in drawn
    config.objective.random_token_fraction = 0.1
    masking.mask(batch, config.objective, special, Watched(0, 0, ROWS))
    assert drawn.count("random_tokens") == 1


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"random_token_fraction": 0.2}, "random_token_fraction must be at most 1. Received: 1.05"),
        ({"name": "electric", "random_token_fraction": 0.1}, "shows no .*Received: token and 0.1"),
        (
            {"generator": "unigram", "random_token_fraction": 0.1},
            "random_token_fraction must be 0 for config.objective.generator=unigram.*Received: 0.1",
        ),
    ],
)
def test_what_cannot_be_is_told(fields, message):
    with pytest.raises(UserError, match=message):
        config_of(**fields)
