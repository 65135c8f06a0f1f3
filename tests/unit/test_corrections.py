"""Corrective language modelling and multi-word selection against NumPy in double precision."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from electra_tf.models.randomness import Draws
from electra_tf.objectives import additions
from electra_tf.objectives.additions import corrective, selection
from electra_tf.objectives.generators import Replacements
from tests.unit.additions_step import ON, ROWS, Step, assert_differences
from tests.unit.test_objectives import VOCAB, tiny_config


@pytest.fixture
def step(monkeypatch):
    return Step(monkeypatch)


def corrective_losses(step, by_token=0.0, by_dense=0.0):
    """(-log p of the true tokens [B, M], best tokens of the softmax)."""
    vectors = step.vectors("corrective_head", by_dense)
    logits = vectors @ step.weight("embeddings/tokens").T
    logits = logits + step.weight("corrective_head/output_bias") + by_token
    log_softmax = special.log_softmax(logits, -1)
    right = np.exp(np.take_along_axis(log_softmax, step.ids[..., None], -1)[..., 0])
    copy = special.expit(-step.at_masked(step.detection_logits()))
    is_input = step.at_masked(step.replaced) == step.ids
    return -np.log(copy * is_input + (1 - copy) * right), logits.argmax(-1)


def test_corrective_is_the_mixtures_likelihood_at_masked_positions(step):
    losses, best = corrective_losses(step)
    used = step.used > 0
    assert float(step.weights["corrective"]) == used.sum()
    np.testing.assert_allclose(step.sums["corrective"], losses[used].sum(), rtol=1e-5)
    copied = step.at_masked(step.replaced) == step.ids
    assert copied[used].any() and not copied[used].all()
    right = np.where(step.at_masked(step.detection_logits()) < 0, copied, best == step.ids)
    assert step.metrics["corrective_loss"] == pytest.approx(losses[used].mean(), rel=1e-5)
    assert step.metrics["corrective_accuracy"] == pytest.approx(right[used].mean())


def test_gradients_of_corrective_are_differences(step):
    gradients, used = step.gradients("corrective"), step.used > 0
    assert_differences(
        gradients["corrective_head/output_bias"],
        lambda moved: corrective_losses(step, by_token=moved)[0][used].sum(),
        VOCAB,
        (2, int(step.ids[0, 0]), int(step.ids[-1, 0])),
    )
    assert_differences(
        gradients["corrective_head/dense/bias"],
        lambda moved: corrective_losses(step, by_dense=moved)[0][used].sum(),
        8,
        range(8),
        rtol=1e-3,
    )


def test_no_gradient_goes_through_the_copy_probability(step):
    """Neither into the head that gives it, nor through it into the states."""
    for path, gradient in step.gradients("corrective").items():
        if path.startswith(("discriminator_head/", "selection_head/", "generator")):
            assert gradient is None, path
        else:
            assert gradient is not None, path
    hidden = tf.constant(step.hidden, tf.float32)
    logits = step.model.discriminator_head(hidden)
    term = corrective.Corrective(step.objective.config, "corrective")
    found = []
    for given in (logits, tf.constant(logits.numpy())):
        with tf.GradientTape() as tape:
            tape.watch([hidden, logits])
            detected = additions.Detected(None, tf.constant(step.replaced), hidden, given)
            result, _ = term.loss_sum(step.model, step.batch, detected, None, None)
        found.append(tape.gradient(result, [hidden, logits]))
    assert found[0][1] is None
    np.testing.assert_array_equal(*(tf.convert_to_tensor(each[0]) for each in found))


def selection_losses(step, by_dense=0.0):
    """(losses [B, M], right [B, M])."""
    rows = step.weight("embeddings/tokens")[step.candidates].reshape(*step.ids.shape, 5, -1)
    vectors = step.vectors("selection_head", by_dense)
    logits = (rows * vectors[:, :, None]).sum(-1)
    return -special.log_softmax(logits, -1)[..., 0], logits.argmax(-1) == 0


def test_selection_is_cross_entropy_among_candidates(step):
    (losses, right), used = selection_losses(step), step.used > 0
    assert float(step.weights["selection"]) == used.sum()
    np.testing.assert_allclose(step.sums["selection"], losses[used].sum(), rtol=1e-5)
    assert step.metrics["selection_loss"] == pytest.approx(losses[used].mean(), rel=1e-5)
    assert step.metrics["selection_accuracy"] == pytest.approx(right[used].mean())
    assert_differences(
        step.gradients("selection")["selection_head/dense/bias"],
        lambda moved: selection_losses(step, moved)[0][used].sum(),
        8,
        range(8),
        rtol=1e-3,
    )


def test_candidates_are_the_right_token_and_four_others(step):
    candidates = step.candidates.reshape(-1, 5)
    np.testing.assert_array_equal(candidates[:, 0], step.ids.ravel())
    assert all(len(set(row)) == 5 for row in candidates)
    assert candidates.min() >= 0 and candidates.max() < VOCAB


def test_candidates_are_samples_without_replacement():
    """Of the first two, as drawn one after the other from what is left of the softmax."""
    random, number, few, right = np.random.default_rng(0), 40_000, 9, 3
    logits = random.normal(0, 1, few)
    factors = (
        tf.zeros((number, 1)),
        tf.zeros((few, 1)),
        tf.constant(logits, tf.float32),
    )
    batch = {"masked_ids": tf.fill([number, 1], right)}
    term = selection.Selection(tiny_config(**ON), "selection")
    found = term._candidates(batch, factors, Draws(0, 0, number)).numpy()
    assert (found[:, 0] == right).all()
    probability = special.softmax(np.where(np.arange(few) == right, -np.inf, logits))
    expected = probability[:, None] * probability / (1 - probability[:, None])
    np.fill_diagonal(expected, 0)
    observed = np.zeros((few, few))
    np.add.at(observed, (found[:, 1], found[:, 2]), 1)
    possible = expected > 0
    assert not observed[~possible].any()
    assert stats.chisquare(observed[possible], number * expected[possible]).pvalue > 1e-3


def test_no_gradient_goes_through_the_candidates(step):
    for path, gradient in step.gradients("selection").items():
        if path.startswith(("discriminator_head/", "corrective_head/", "generator")):
            assert gradient is None, path
        else:
            assert gradient is not None, path
    random = np.random.default_rng(0)
    factors = [
        tf.constant(random.normal(0, 1, shape), tf.float32)
        for shape in ((ROWS * step.ids.shape[1], 8), (VOCAB, 8), (VOCAB,))
    ]
    term = selection.Selection(step.objective.config, "selection")
    hidden = tf.constant(step.hidden, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(factors)
        generated = Replacements(None, None, {}, factors)
        detected = additions.Detected(generated, None, hidden, None)
        result, _ = term.loss_sum(step.model, step.batch, detected, Draws(0, 0, ROWS), None)
    assert tape.gradient(result, factors) == [None] * 3
