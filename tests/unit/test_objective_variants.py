"""The paper's variants of ELECTRA (section 3.5) against NumPy in double precision."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.objectives import build_objective, losses
from electra_tf.speed.memory import MemoryModel
from tests.unit import objective_step
from tests.unit.test_objectives import VOCAB, objective_of, tiny_config

VARIANTS = ["electra_15", "replace_mlm", "all_tokens_mlm"]
MAIN = {"electra_15": "disc", "replace_mlm": "main_lm", "all_tokens_mlm": "main_lm"}
ROWS, LENGTH = 6, 40


class Step(objective_step.Step):
    """One step of a variant."""

    def __init__(self, name, monkeypatch, sharing="embeddings"):
        config = tiny_config(name=name)
        config.model.sharing = sharing
        super().__init__(config, monkeypatch, ROWS, LENGTH)
        self.ids, self.mask = (self.batch[key].numpy() for key in ("input_ids", "input_mask"))
        self.masked = np.zeros(self.ids.shape, bool)
        for row in range(ROWS):
            used = self.batch["masked_weights"][row].numpy() > 0
            self.masked[row, self.batch["masked_positions"][row].numpy()[used]] = True


@pytest.fixture(params=VARIANTS)
def step(request, monkeypatch):
    return Step(request.param, monkeypatch)


def token_losses(step, output_bias, hidden):
    """-log softmax of the head of the main encoder, [B, L, V]."""
    dense = hidden @ step.weight("head/dense/kernel") + step.weight("head/dense/bias")
    active = dense * special.ndtr(dense)
    centered = active - active.mean(-1, keepdims=True)
    normalized = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-12)
    vectors = normalized * step.weight("head/layer_norm/gamma")
    vectors += step.weight("head/layer_norm/beta")
    return -special.log_softmax(vectors @ step.weight("embeddings/tokens").T + output_bias, -1)


def mixture(step, losses_of_all, logits):
    """-log of the mixture of copy and softmax at the true tokens, [B, L]."""
    softmax = np.exp(-np.take_along_axis(losses_of_all, step.ids[..., None], -1)[..., 0])
    copy = special.expit(logits)
    return -np.log(copy * (step.replaced == step.ids) + (1 - copy) * softmax)


def test_the_main_network_reads_samples_where_tokens_were_masked(step):
    assert not (step.replaced == 4).any()  # no [MASK]
    changed = step.replaced != step.ids
    assert changed.any() and not (changed & ~step.masked).any()
    assert float(step.counts["masked_lm/total"]) == step.masked.sum()


def test_electra_15_is_cross_entropy_at_masked_positions(monkeypatch):
    step = Step("electra_15", monkeypatch)
    logits = np.asarray(step.model.discriminator_head(step.hidden), np.float64)
    replaced = step.replaced != step.ids
    expected = -np.log(special.expit(np.where(replaced, logits, -logits)))
    assert 0 < replaced.sum() <= step.masked.sum() - ROWS
    assert float(step.weights["disc"]) == step.masked.sum()
    np.testing.assert_allclose(step.sums["disc"], expected[step.masked].sum(), rtol=1e-5)
    metrics = step.metrics
    assert metrics["disc_masked_loss"] == pytest.approx(expected[step.masked].mean(), rel=1e-5)
    assert metrics["disc_loss"] == pytest.approx(expected[step.mask > 0].mean(), rel=1e-5)
    assert metrics["loss"] == pytest.approx(
        metrics["masked_lm_loss"] + 50 * metrics["disc_masked_loss"]
    )


def test_replace_mlm_is_cross_entropy_at_masked_positions(monkeypatch):
    step = Step("replace_mlm", monkeypatch)
    of_all = token_losses(step, step.weight("head/output_bias"), step.hidden)
    expected = np.take_along_axis(of_all, step.ids[..., None], -1)[..., 0][step.masked]
    assert float(step.weights["main_lm"]) == step.masked.sum()
    np.testing.assert_allclose(step.sums["main_lm"], expected.sum(), rtol=1e-5)
    right = (of_all.argmin(-1) == step.ids)[step.masked]
    assert float(step.counts["main_lm/correct"]) == right.sum()
    metrics = step.metrics
    assert metrics["main_lm_loss"] == pytest.approx(expected.mean(), rel=1e-5)
    assert metrics["loss"] == pytest.approx(metrics["masked_lm_loss"] + metrics["main_lm_loss"])


def copy_logits(step, hidden):
    kernel, bias = step.weight("copy_head/logit/kernel"), step.weight("copy_head/logit/bias")
    return (hidden @ kernel + bias)[..., 0]


def test_all_tokens_mlm_is_the_mixtures_likelihood(monkeypatch):
    step = Step("all_tokens_mlm", monkeypatch)
    hidden = step.hidden
    of_all, logits = (
        token_losses(step, step.weight("head/output_bias"), hidden),
        copy_logits(step, hidden),
    )
    expected, real = mixture(step, of_all, logits), step.mask > 0
    assert float(step.weights["main_lm"]) == real.sum()
    np.testing.assert_allclose(step.sums["main_lm"], expected[real].sum(), rtol=1e-5)
    right = np.where(logits > 0, step.replaced, of_all.argmin(-1)) == step.ids
    metrics = step.metrics
    for prefix, places in (("all_tokens", real), ("main_lm", step.masked)):
        assert metrics[f"{prefix}_loss"] == pytest.approx(expected[places].mean(), rel=1e-5)
        assert metrics[f"{prefix}_accuracy"] == pytest.approx(right[places].mean())
    assert metrics["loss"] == pytest.approx(metrics["masked_lm_loss"] + metrics["all_tokens_loss"])


@pytest.mark.parametrize("name", ["replace_mlm", "all_tokens_mlm"])
def test_gradients_of_the_heads_are_differences(monkeypatch, name):
    """Of the softmax's bias and of the copy logit's: the heads alone are in double precision."""
    step = Step(name, monkeypatch)
    hidden, gradients = step.hidden, step.gradients("main_lm")
    bias = step.weight("head/output_bias")

    def loss(by_token, by_copy):
        of_all = token_losses(step, bias + by_token, hidden)
        if name == "replace_mlm":
            return np.take_along_axis(of_all, step.ids[..., None], -1)[..., 0][step.masked].sum()
        return mixture(step, of_all, copy_logits(step, hidden) + by_copy)[step.mask > 0].sum()

    small = 1e-5
    for token in (2, int(step.ids[0, 1]), int(step.ids[-1, 3])):
        by_token = np.zeros(VOCAB)
        by_token[token] = small
        difference = (loss(by_token, 0.0) - loss(-by_token, 0.0)) / (2 * small)
        assert float(gradients["head/output_bias"][token]) == pytest.approx(
            difference, rel=1e-4, abs=1e-5
        )
    if name == "all_tokens_mlm":
        zeros = np.zeros(VOCAB)
        difference = (loss(zeros, small) - loss(zeros, -small)) / (2 * small)
        assert float(gradients["copy_head/logit/bias"][0]) == pytest.approx(difference, rel=1e-4)


def test_copying_is_stable_and_its_gradients_are_differences():
    values = [-60.0, -20.0, -3.0, 0.0, 2.0, 20.0, 60.0]
    logits, nll, is_input = (
        array.ravel()
        for array in np.meshgrid(values, [0.0, 1e-6, 0.3, 9.0, 80.0], [False, True], indexing="ij")
    )

    def exact(logits, nll):
        """In log space, in double precision."""
        drawn = special.log_expit(-logits) - nll
        return -np.where(is_input, np.logaddexp(special.log_expit(logits), drawn), drawn)

    given = [tf.constant(array, tf.float32) for array in (logits, nll)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        result = losses.copy_or_predict(given[0], tf.constant(is_input), given[1])
    np.testing.assert_allclose(result, exact(logits, nll), rtol=1e-6, atol=2e-7)
    small = 1e-4
    by_logits = (exact(logits + small, nll) - exact(logits - small, nll)) / (2 * small)
    by_nll = (exact(logits, nll + small) - exact(logits, nll - small)) / (2 * small)
    np.testing.assert_allclose(tape.gradient(result, given[0]), by_logits, atol=2e-6)
    np.testing.assert_allclose(tape.gradient(result, given[1]), by_nll, atol=2e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_no_gradient_passes_through_the_samples(monkeypatch, name):
    step = Step(name, monkeypatch, sharing="none")
    of_main, of_generator = step.gradients(MAIN[name]), step.gradients("masked_lm")
    for path in of_main:
        own, other = (of_generator, of_main) if "generator" in path else (of_main, of_generator)
        assert own[path] is not None and other[path] is None, path
        if "query" not in path and "key" not in path:  # some of these are 0 by symmetry
            assert np.abs(tf.convert_to_tensor(own[path])).max() > 0, path


def test_operations(monkeypatch):
    def of(name):
        return objective_of(tiny_config(name=name)).training_flops_per_token(LENGTH)

    hidden, embedding, inner, layers = 16, 8, 32, 2
    per_layer = 4 * hidden**2 + 2 * hidden * inner + 2 * LENGTH * hidden
    encoder = layers * per_layer + embedding * hidden
    detection = hidden * hidden + hidden
    prediction = embedding * (hidden + VOCAB)
    masked = int(0.155 * LENGTH) / LENGTH
    generator = of("electra") - 6 * (encoder + detection)
    assert of("electra_15") == of("electra")
    assert of("mlm") == pytest.approx(6 * (encoder + masked * prediction))
    assert of("replace_mlm") == pytest.approx(generator + of("mlm"))
    assert of("all_tokens_mlm") == pytest.approx(generator + 6 * (encoder + prediction))


def test_predicting_every_token_takes_more_memory():
    planned = {
        name: MemoryModel(objective_of(tiny_config(name=name)), LENGTH).of(64, 1, False).total
        for name in ("electra", *VARIANTS)
    }
    assert planned["electra_15"] == planned["electra"]
    assert planned["replace_mlm"] < planned["all_tokens_mlm"]


def test_the_discriminators_metrics_are_electras(monkeypatch):
    """Whatever it is trained on."""
    own, others = (Step(name, monkeypatch).metrics for name in ("electra_15", "electra"))
    assert {name: value for name, value in own.items() if name in others and name != "loss"} == {
        name: value for name, value in others.items() if name != "loss"
    }


@pytest.mark.parametrize(
    ("name", "term", "weight"),
    [
        ("electra", "disc", 50.0),
        ("electric", "disc", 50.0),
        ("replace_mlm", "main_lm", 1.0),
        ("all_tokens_mlm", "main_lm", 1.0),
    ],
)
def test_the_main_networks_weight_is_the_objectives_own_unless_set(name, term, weight):
    config = tiny_config()
    config.objective.name = name
    assert build_objective(config).terms[term] == weight
    config.objective.discriminator_weight = 7.0
    assert build_objective(config).terms[term] == 7.0
