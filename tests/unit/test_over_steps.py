"""Shares of masked tokens and loss factors that change over the steps of a run."""

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config, breakpoints
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective, masking, over_steps, validate
from electra_tf.speed import synthetic

POINTS = ((10, 0.3), (20, 0.1), (60, 0.2))


def config_of(**objective) -> Config:
    config = Config()
    config.model.vocab_size = 97
    for name, value in objective.items():
        setattr(config.objective, name, value)
    return validate(config)


def test_values_are_linear_between_the_breakpoints():
    steps = np.array([0, 10, 13, 20, 40, 59, 60, 1000])
    expected = np.interp(steps, *zip(*POINTS, strict=True))
    found = [float(over_steps.value_at(POINTS, tf.constant(int(step)))) for step in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert float(over_steps.value_at(POINTS, -5)) == pytest.approx(0.2)  # an evaluation's draws
    assert float(over_steps.value_at(((0, 7.0),), 3)) == 7.0


def test_the_number_of_masks_follows_the_step_in_slots_of_one_number():
    config = config_of(mask_fraction_by_step="[[0, 0.3], [100, 0.1]]")
    lengths, length = np.array([40, 23, 9, 3]), 40
    mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
    batch = {
        "input_ids": tf.constant(5 + mask * 7, tf.int32),
        "input_mask": tf.constant(mask),
    }
    special = build_objective(config, synthetic.SyntheticVocabulary(97)).special

    @tf.function
    def masked_at(step):
        draws = Draws(0, step, len(lengths))
        return masking.mask(batch, config.objective, special, draws)["masked_weights"]

    for step, share in ((0, 0.3), (50, 0.2), (100, 0.1), (500, 0.1), (-1, 0.1)):
        weights = masked_at(tf.constant(step)).numpy()
        assert weights.shape == (4, int(0.305 * length))
        wanted = np.maximum(np.round(np.float32(lengths) * np.float32(share)), 1)
        expected = np.minimum(wanted, int((share + 0.005) * length))
        np.testing.assert_array_equal(weights.sum(1), expected)
    assert masked_at.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", ["electra", "mlm"])
def test_the_plan_is_made_for_the_most_masks(name):
    config = config_of(name=name, mask_fraction_by_step="[[0, 0.3], [100, 0.1]]")
    prediction = build_objective(config).passes()[0]
    assert prediction.predicted(128) == masking.max_masked(128, 0.3)


def test_factors_change_with_the_step():
    config = config_of(discriminator_weight_by_step="[[0, 0], [10, 50]]", generator_weight=3.0)
    objective = build_objective(config)
    for step, weight in ((0, 0.0), (4, 20.0), (10, 50.0), (99, 50.0)):
        factors = objective.factors(tf.constant(step))
        assert {term: float(factor) for term, factor in factors.items()} == pytest.approx(
            {"masked_lm": 3.0, "disc": weight}
        )
    assert objective.terms == {"masked_lm": 3.0, "disc": 50.0}  # of the run's end
    constant = build_objective(config_of())
    assert constant.factors(tf.constant(4)) == constant.terms


def test_a_weight_may_end_at_0():
    ending = config_of(discriminator_weight_by_step="[[0, 50], [10, 0]]", generator_weight=0.0)
    assert build_objective(ending).terms == {"masked_lm": 0.0, "disc": 0.0}
    with pytest.raises(UserError, match="must have a loss"):
        config_of(discriminator_weight_by_step="[[0, 0], [10, 0]]", generator_weight=0.0)


def test_no_more_slots_than_tokens():
    assert masking.max_masked(512, 1.0) == 512


def test_a_text_of_nothing_has_no_breakpoints():
    assert breakpoints.read("") == ()


@pytest.mark.parametrize(
    "text, message",
    [
        ("0.3", "must be pairs of a step and a value"),
        ("[[0, 0.3]", "must be pairs of a step and a value"),
        ("[]", "must be pairs of a step and a value"),
        ("[[0.5, 0.3]]", "must be pairs of a step and a value"),
        ("[[0, NaN]]", "must be pairs of a step and a value"),
        (f"[[0, 1{'0' * 400}]]", "must be pairs of a step and a value"),
        (f"[[1{'0' * 10}, 0.3]]", "must be pairs of a step and a value"),
        ("[[9, 0.3], [9, 0.2]]", "must rise from 0"),
        ("[[-1, 0.3]]", "must rise from 0"),
        ("[[0, 0.3], [5, 0.0]]", r"must be in \(0, 1\]"),
        ("[[0, 1.5]]", r"must be in \(0, 1\]"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(UserError, match=f"config.objective.mask_fraction_by_step.*{message}"):
        config_of(mask_fraction_by_step=text)
