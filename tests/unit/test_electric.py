"""Electric: what its towers see, its losses in double precision, what is trained by what."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.models.visibility import MASKED_SCORE, Visibility
from electra_tf.objectives import build_objective, validate
from electra_tf.speed import synthetic
from electra_tf.speed.memory import MemoryModel
from tests.unit.test_objectives import VOCAB, ragged_batch, tiny_config

ROWS, LENGTH = 6, 20


def electric(**objective):
    config = tiny_config(name="electric", **objective)
    return build_objective(config, synthetic.SyntheticVocabulary(VOCAB))


@pytest.fixture(scope="module")
def model():
    """With weights far from their initial values, biases too."""
    model = electric().new_model(0)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        mean = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(random.normal(mean, 0.3, variable.shape))
    return model


def with_another_token(batch, place):
    ids = batch["input_ids"].numpy()
    ids[:, place] = 5 + (ids[:, place] + 1) % (VOCAB - 5)
    return {**batch, "input_ids": tf.constant(ids)}


def test_a_tower_sees_one_side(model):
    batch = ragged_batch(ROWS, LENGTH)
    is_token = batch["input_mask"].numpy() > 0
    for place in (1, 7, LENGTH - 1):
        other = with_another_token(batch, place)
        for tower, seeing in (
            (model.generator_ltr, np.arange(LENGTH) >= place),
            (model.generator_rtl, np.arange(LENGTH) <= place),
        ):
            changed = (tower(batch).numpy() != tower(other).numpy()).any(-1)
            assert (changed == is_token[:, [place]] & seeing)[is_token].all()


def test_what_is_predicted_in_a_place_does_not_know_its_token(model):
    """But around the ends of rows, as in the original: for [CLS] and the [SEP] that ends a row."""
    batch = ragged_batch(ROWS, LENGTH)
    lengths = batch["input_mask"].numpy().sum(-1)
    assert lengths.min() < LENGTH
    states = model.cloze(batch).numpy()
    for place in range(LENGTH):
        changed = (model.cloze(with_another_token(batch, place)).numpy() != states).any(-1)
        inside = (place > 0) & (place < lengths - 1)
        assert not changed[inside, place].any()
        at_end = (place == 0) | (place == lengths - 1)
        assert changed[at_end, place].all()


def test_a_direction_is_added_to_what_is_hidden_once():
    bias = Visibility(ragged_batch(ROWS, LENGTH), "left_to_right").whole().numpy()
    assert bias.shape == (ROWS, 1, LENGTH, LENGTH)
    assert set(np.unique(bias)) == {MASKED_SCORE, 0.0}
    assert (bias[:, 0][:, *np.triu_indices(LENGTH, 1)] == MASKED_SCORE).all()


def test_losses_are_those_of_the_paper(model):
    """In double precision, from the probability that a token is noise."""
    objective, batch, draws = (
        electric(mask_fraction=0.3),
        ragged_batch(ROWS, LENGTH),
        Draws(0, 1, 6),
    )
    prepared = objective.prepare(batch, draws)
    sums, counts = objective.loss_sums(model, prepared, draws, None)
    noisy, log_q, _, _ = objective._generate(model, prepared, draws, None)
    ids, noisy = batch["input_ids"].numpy(), noisy.numpy()
    is_token = batch["input_mask"].numpy() > 0

    vectors, table, bias = (
        np.asarray(factor, np.float64)
        for factor in model.generator_head.factors(model.cloze(batch))
    )
    log_softmax = special.log_softmax(vectors @ table.T + bias, axis=-1)

    def log_q_of(tokens):
        return np.take_along_axis(log_softmax, tokens.reshape(-1, 1), -1).reshape(tokens.shape)

    np.testing.assert_allclose(log_q, log_q_of(noisy), atol=2e-5)
    candidate = is_token & (ids > 4)
    assert float(counts["cloze/total"]) == candidate.sum()
    assert float(sums["cloze"]) == pytest.approx(-log_q_of(ids)[candidate].sum(), rel=1e-5)

    masked = np.zeros(ids.shape, bool)
    used = prepared["masked_weights"].numpy() > 0
    masked[np.nonzero(used)[0], prepared["masked_positions"].numpy()[used]] = True
    assert (noisy == ids)[~masked].all() and (noisy != ids).any()
    energies = model({**batch, "input_ids": tf.constant(noisy)}).numpy().astype(np.float64)
    noise, data = 0.3 * np.exp(log_q_of(noisy)), 0.7 * np.exp(-energies)
    losses = -np.log(np.where(masked, noise, data) / (noise + data))
    assert float(sums["disc"]) == pytest.approx(losses[is_token].sum(), rel=1e-5)
    assert float(counts["disc/positive"]) == masked.sum()


def test_the_discriminator_does_not_train_the_towers():
    config = tiny_config(name="electric")
    config.model.sharing = "none"
    objective = build_objective(config, synthetic.SyntheticVocabulary(VOCAB))
    model, draws, batch = objective.new_model(0), Draws(0, 0, ROWS), ragged_batch(ROWS, LENGTH)
    variables = {variable.path: variable.value for variable in model.trainable_variables}
    with tf.GradientTape(persistent=True) as tape:
        prepared = objective.prepare(batch, draws)
        sums, _ = objective.loss_sums(model, prepared, draws, Dropout(0, 0, 0, ROWS))
    for term, trained in (("cloze", True), ("disc", False)):
        gradients = tape.gradient(sums[term], variables)
        for path, gradient in gradients.items():
            assert (gradient is not None) == (path.startswith("generator") == trained), (term, path)


def test_held_out_metrics():
    objective, batch = electric(), ragged_batch(ROWS, LENGTH)
    model, draws = objective.new_model(0), Draws(0, 0, ROWS)
    counts = objective.eval_counts(model, batch, draws)
    metrics = objective.metrics({name: value.numpy() for name, value in counts.items()})
    candidates = (batch["input_mask"].numpy() > 0) & (batch["input_ids"].numpy() > 4)
    energies = model(batch).numpy()
    assert metrics["pseudo_log_likelihood"] == pytest.approx(-energies[candidates].mean(), rel=1e-5)
    assert metrics["cloze_loss"] == pytest.approx(np.log(VOCAB), rel=0.01)
    assert metrics["loss"] == metrics["cloze_loss"] + 50 * metrics["disc_loss"]
    assert {metric.name for metric in objective.headline} <= metrics.keys()


def test_every_position_is_predicted_by_two_towers():
    """Counted by hand: the towers, the head at all positions and at the 3 of 20 that are drawn."""
    objective = electric()
    tower = 2 * (4 * 8 * 8 + 2 * 8 * 32 + 2 * LENGTH * 8)  # embeddings as wide as it: not projected
    generator = 6 * (2 * tower + 8 * (16 + VOCAB)) + 2 * 3 / 20 * 8 * VOCAB
    discriminator = 2 * (4 * 16 * 16 + 2 * 16 * 32 + 2 * LENGTH * 16) + 8 * 16 + 16 * 17
    assert objective.training_flops_per_token(LENGTH) == pytest.approx(
        generator + 6 * discriminator
    )
    planned = MemoryModel(objective, LENGTH)
    assert {"generator_ltr", "generator_rtl"} <= planned.numbers.keys()
    assert planned.of(8, 1, False).total > 0


@pytest.mark.parametrize(
    ("section", "field", "value", "said"),
    [
        ("objective", "temperature", 0.5, "temperature must be 1"),
        ("objective", "disallow_correct", True, "disallow_correct false"),
        ("objective", "mask_fraction", 1.0, "must be less than 1"),
        ("generator", "num_heads", 3, "config.generator.num_heads"),
    ],
)
def test_what_it_cannot_be_is_told(section, field, value, said):
    config = tiny_config(name="electric")
    setattr(getattr(config, section), field, value)
    with pytest.raises(UserError, match=said):
        validate(config)


def test_towers_are_not_the_discriminator():
    config = tiny_config(name="electric")
    config.model.sharing, config.generator.hidden_fraction, config.generator.num_heads = "all", 1, 0
    with pytest.raises(UserError, match="config.model.sharing must not be all"):
        validate(config)
