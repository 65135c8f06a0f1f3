"""Terms added to a detector's loss, against NumPy in double precision."""

import types

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import additions, masking, validate
from electra_tf.objectives.additions import contrastive, corrective, selection
from electra_tf.objectives.generators import Replacements
from electra_tf.speed.memory import MemoryModel
from tests.unit.test_objectives import VOCAB, objective_of, ragged_batch, tiny_config

ROWS, LENGTH, SIZE = 12, 40, 4
ON = {
    "contrastive_weight": 2.0,
    "contrastive_rows": SIZE,
    "contrastive_temperature": 0.5,
    "corrective_weight": 3.0,
    "selection_weight": 5.0,
}
NAMES = ["contrastive", "corrective", "selection"]


class Step:
    """One step of ELECTRA with all terms, with the text that its discriminator reads."""

    def __init__(self, monkeypatch, sharing="none", **objective):
        config = tiny_config(**ON, **objective)
        config.model.sharing, config.model.initializer_range = sharing, 0.3
        self.objective = objective_of(config)
        self.model, draws = self.objective.new_model(1), Draws(0, 0, ROWS)
        self.batch = self.objective.prepare(ragged_batch(ROWS, LENGTH), draws)
        written, replace = [], masking.replace_masked

        def keep_first(batch, ids):
            """As a generator that guesses the first masked token of each row."""
            first = tf.range(ids.shape[1]) == 0
            written.append(replace(batch, tf.where(first, batch["masked_ids"], ids)))
            return written[-1]

        candidates, draw = [], selection.Selection._candidates

        def noted(*args):
            candidates.append(draw(*args))
            return candidates[-1]

        with monkeypatch.context() as patch, tf.GradientTape(persistent=True) as self.tape:
            patch.setattr(masking, "replace_masked", keep_first)
            patch.setattr(selection.Selection, "_candidates", noted)
            self.sums, counts = self.objective.loss_sums(self.model, self.batch, draws, None)
        self.weights = self.objective.loss_weights(self.batch)
        self.metrics = self.objective.metrics({name: each.numpy() for name, each in counts.items()})
        self.replaced, self.candidates = written[-1].numpy(), candidates[-1].numpy()
        self.ids, self.used = (
            self.batch[name].numpy() for name in ("masked_ids", "masked_weights")
        )
        self.hidden = self.states({**self.batch, "input_ids": self.replaced})

    def states(self, batch):
        return np.asarray(self.model.discriminator(batch), np.float64)

    def weight(self, path):
        [found] = [each for each in self.model.trainable_variables if each.path == path]
        return np.asarray(found, np.float64)

    def gradients(self, term):
        """By path; None where nothing flows."""
        variables = {each.path: each.value for each in self.model.trainable_variables}
        return self.tape.gradient(self.sums[term], variables)

    def at_masked(self, array):
        return np.stack([row[at] for row, at in zip(array, self.batch["masked_positions"])])

    def vectors(self, head, dense_bias=0.0):
        """What a head makes of the states at the masked positions, [B, M, E]."""
        states = self.at_masked(self.hidden)
        dense = states @ self.weight(f"{head}/dense/kernel") + self.weight(f"{head}/dense/bias")
        dense = dense + dense_bias
        active = dense * special.ndtr(dense)
        centered = active - active.mean(-1, keepdims=True)
        normalized = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-12)
        return normalized * self.weight(f"{head}/layer_norm/gamma") + self.weight(
            f"{head}/layer_norm/beta"
        )

    def detection_logits(self):
        logits = self.model.discriminator_head(tf.constant(self.hidden, tf.float32))
        return np.asarray(logits, np.float64)


@pytest.fixture
def step(monkeypatch):
    return Step(monkeypatch)


def assert_differences(gradient, loss, number, places, rtol=1e-4):
    """Holds places of a gradient to central differences of `loss` of as many numbers."""
    for place in places:
        moved = np.zeros(number)
        moved[place] = 1e-5
        difference = (loss(moved) - loss(-moved)) / 2e-5
        assert float(gradient[place]) == pytest.approx(difference, rel=rtol, abs=1e-5), place


# Off


def test_without_weights_there_is_nothing_of_them():
    objective = objective_of(tiny_config())
    assert objective.terms == {"masked_lm": 1.0, "disc": 50.0}
    assert not [path for path in objective.variable_shapes() if path.split("/")[0] in HEADS]
    batch = objective.prepare(ragged_batch(), Draws(0, 0, ROWS))
    assert "crop_starts" not in batch and len(objective.passes()) == 2


HEADS = ("corrective_head", "selection_head")


def test_other_terms_and_weights_are_what_they_are_without_them():
    """Bit for bit: the terms draw numbers of their own."""
    results = []
    for fields in ({}, ON):
        objective, draws = objective_of(tiny_config(**fields)), Draws(0, 3, ROWS)
        model = objective.new_model(0)
        batch = objective.prepare(ragged_batch(), draws)
        sums, counts = objective.loss_sums(model, batch, draws, Dropout(0, 3, 0, ROWS))
        weights = {each.path: each.numpy() for each in model.trainable_variables}
        results.append((sums, counts, weights))
    for plain, added in zip(*results, strict=True):
        assert plain.keys() < added.keys()
        for name, value in plain.items():
            np.testing.assert_array_equal(value, added[name], err_msg=name)


# Contrastive


def info_nce(texts, crops, size, temperature):
    """(losses [B], right [B], cosines of other rows' texts), view by view."""
    texts, crops = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (texts, crops))
    losses, right, cosines = [], [], []
    for row in range(len(texts)):
        group = [other for other in range(len(texts)) if other // size == row // size]
        total = 0.0
        for own, partner in ((texts, crops), (crops, texts)):
            others = [own[row] @ own[other] for other in group if other != row]
            others += [own[row] @ partner[other] for other in group]
            pair = own[row] @ partner[row]
            total += special.logsumexp(np.array(others) / temperature) - pair / temperature
        losses.append(total / 2)
        right.append(row == max(group, key=lambda other: texts[row] @ crops[other]))
        cosines += [texts[row] @ texts[other] for other in group if other != row]
    return np.array(losses), np.array(right), np.array(cosines)


def test_contrastive_is_info_nce_in_groups_of_rows(step):
    cropped = step.states(contrastive.crop(step.batch))[:, 0]
    losses, right, cosines = info_nce(step.hidden[:, 0], cropped, SIZE, 0.5)
    assert float(step.weights["contrastive"]) == ROWS
    np.testing.assert_allclose(step.sums["contrastive"], losses.sum(), rtol=1e-5)
    assert step.metrics["contrastive_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert step.metrics["contrastive_accuracy"] == pytest.approx(right.mean())
    assert len(cosines) == ROWS * (SIZE - 1)
    assert step.metrics["cls_cosine"] == pytest.approx(cosines.mean(), abs=1e-5)


def contrastive_sum(texts, crops, batch, **fields):
    """The term of given states [B, 1, H] of texts and of crops."""
    term = contrastive.Contrastive(tiny_config(**(ON | fields)), "contrastive")
    model = types.SimpleNamespace(discriminator=lambda batch, dropout: crops)
    detected = additions.Detected(None, None, texts, None)
    return term.loss_sum(model, batch, detected, None, None)


def test_gradients_of_contrastive_are_differences():
    random = np.random.default_rng(0)
    arrays = random.normal(0, 1, (2, ROWS, 1, 5))
    batch = contrastive.Contrastive(tiny_config(**ON), "contrastive").prepare(
        ragged_batch(), Draws(0, 0, ROWS)
    )
    given = [tf.constant(each, tf.float32) for each in arrays]
    with tf.GradientTape() as tape:
        tape.watch(given)
        result, _ = contrastive_sum(*given, batch)
    for number, gradient in enumerate(tape.gradient(result, given)):

        def loss(moved, number=number):
            changed = arrays.copy()
            changed[number] += moved.reshape(arrays.shape[1:])
            return info_nce(*changed[:, :, 0], SIZE, 0.5)[0].sum()

        assert_differences(tf.reshape(gradient, (-1,)), loss, ROWS * 5, range(0, ROWS * 5, 7))


def test_groups_are_the_same_for_any_batching(step):
    """Replicas and micro-batches have whole groups of consecutive rows."""
    crops = tf.constant(step.states(contrastive.crop(step.batch)), tf.float32)
    texts = tf.constant(step.hidden, tf.float32)
    whole, counts = contrastive_sum(texts, crops, step.batch)
    parts = [
        contrastive_sum(
            texts[first : first + SIZE],
            crops[first : first + SIZE],
            {key: value[first : first + SIZE] for key, value in step.batch.items()},
        )
        for first in range(0, ROWS, SIZE)
    ]
    np.testing.assert_allclose(sum(part[0] for part in parts), whole, rtol=1e-6)
    for name, value in counts.items():
        np.testing.assert_allclose(sum(part[1][name] for part in parts), value, rtol=1e-6)


def test_rows_that_are_not_there_change_nothing(step):
    """Those of padding, and those that the last group of an evaluation lacks."""
    crops = tf.constant(step.states(contrastive.crop(step.batch)), tf.float32)
    texts = tf.constant(step.hidden, tf.float32)
    kept = {key: value[:6] for key, value in step.batch.items()}
    hidden = {"input_mask": tf.where(tf.range(ROWS)[:, None] < 6, step.batch["input_mask"], 0)}
    few, few_counts = contrastive_sum(texts[:6], crops[:6], kept)
    padded, padded_counts = contrastive_sum(texts, crops, {**step.batch, **hidden})
    first, last = (
        info_nce(step.hidden[rows, 0], np.float64(crops[:, 0])[rows], SIZE, 0.5)[0].sum()
        for rows in (slice(0, 4), slice(4, 6))
    )
    for result in (few, padded):
        np.testing.assert_allclose(result, first + last, rtol=1e-5)
    for name, value in few_counts.items():
        np.testing.assert_allclose(padded_counts[name], value, rtol=1e-6)
    assert float(few_counts["contrastive/pairs"]) == 4 * 3 + 2


def test_contrastive_trains_what_reads_the_crop(step):
    """The encoder by both views; no gradient goes into the generator or a head."""
    for path, gradient in step.gradients("contrastive").items():
        reached = path.startswith(("embeddings/", "discriminator/"))
        assert (gradient is not None) == reached, path
    cropped = step.states(contrastive.crop(step.batch))
    assert np.abs(cropped[:, 0] - step.hidden[:, 0]).max() > 1e-3


# Corrective


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


# Selection


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


# All of them


def test_the_loss_is_what_is_trained(step):
    metrics = step.metrics
    factors = {"masked_lm": 1, "disc": 50, "contrastive": 2, "corrective": 3, "selection": 5}
    assert step.objective.factors(0) == step.objective.terms == factors
    assert metrics["loss"] == pytest.approx(
        sum(factor * metrics[f"{name}_loss"] for name, factor in factors.items())
    )
    shown = [metric.name for metric in step.objective.headline]
    assert {"contrastive_loss", "cls_cosine", "corrective_loss", "selection_accuracy"} <= {*shown}


@pytest.mark.parametrize("name", ["electra_15", "two_stage"])
def test_other_detectors_take_them(monkeypatch, name):
    if name == "electra_15":
        plain, step = Step(monkeypatch), Step(monkeypatch, name=name)
        for term in NAMES:
            np.testing.assert_array_equal(step.sums[term], plain.sums[term])
            np.testing.assert_array_equal(step.weights[term], plain.weights[term])
        assert float(step.weights["disc"]) == step.used.sum() < float(plain.weights["disc"])
        main = 50 * step.metrics["disc_masked_loss"] + step.metrics["masked_lm_loss"]
        added = sum(step.objective.terms[term] * step.metrics[f"{term}_loss"] for term in NAMES)
        assert step.metrics["loss"] == pytest.approx(main + added)
    else:
        first, second = objective_of(tiny_config(**ON, name=name)).phases()
        assert first.terms == ("masked_lm",) and second.terms == ("disc", *NAMES)
        assert not any(first.is_trained(f"{head}/x") for head in HEADS)
        assert all(second.is_trained(f"{head}/x") for head in HEADS)


@pytest.mark.parametrize("generator", ["uniform", "unigram"])
def test_without_a_generator_that_learns_they_are_trained(generator):
    fields = {"generator": generator, "contrastive_weight": 1.0, "corrective_weight": 1.0}
    [phase] = objective_of(tiny_config(**fields)).phases()
    assert phase.terms == ("disc", "contrastive", "corrective")
    assert phase.is_trained("corrective_head/dense/kernel")


def test_operations_and_memory():
    hidden, embedding, inner, layers = 16, 8, 32, 2
    per_layer = 4 * hidden**2 + 2 * hidden * inner + 2 * LENGTH * hidden
    masked = int(0.155 * LENGTH) / LENGTH
    expected = {
        "contrastive": 6 * (layers * per_layer + embedding * hidden),
        "corrective": 6 * masked * embedding * (hidden + VOCAB),
        "selection": masked * embedding * (6 * (hidden + 5) + 2 * 4 * VOCAB),
    }
    plain = objective_of(tiny_config())
    memory = MemoryModel(plain, LENGTH).of(64, 1, False).total
    for name, operations in expected.items():
        added = objective_of(tiny_config(**{f"{name}_weight": 1.0}))
        assert [each.term for each in added.passes()] == ["masked_lm", "disc", name]
        assert added.training_flops_per_token(LENGTH) == pytest.approx(
            plain.training_flops_per_token(LENGTH) + operations
        )
        assert MemoryModel(added, LENGTH).of(64, 1, False).total > memory


# What cannot be


def validated(**fields):
    config = Config()
    for name, value in fields.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return validate(config)


@pytest.mark.parametrize("name", ["mlm", "replace_mlm", "all_tokens_mlm", "electric"])
@pytest.mark.parametrize("term", NAMES)
def test_objectives_without_a_detector_refuse_them(name, term):
    with pytest.raises(UserError, match=f"{term}_weight must be 0, or .* electra, .* for {name}"):
        validated(**{"objective.name": name, f"objective.{term}_weight": 1.0})


def test_selection_needs_probabilities():
    with pytest.raises(UserError, match="generator must be one of trained, frozen, unigram"):
        validated(**{"objective.selection_weight": 1.0, "objective.generator": "uniform"})


def test_rows_that_are_compared_must_share_a_micro_batch():
    fields = {"objective.contrastive_weight": 1.0, "train.batch_size": 24}
    assert validated(**fields, **{"objective.contrastive_rows": 12})
    assert validated(**{"train.batch_size": 24})  # of no account without the weight
    for accumulation, rows in ((1, 24), (4, 6)):
        with pytest.raises(
            UserError, match=f"contrastive_rows must divide .* 16, which does not divide {rows}; "
        ):
            validated(**fields, **{"train.accumulation_steps": accumulation})
    config = validated(**fields, **{"objective.contrastive_rows": 12})
    with pytest.raises(UserError, match="12, which does not divide 8; 2, 4, 8 would"):
        objective_of(config).check_rows(8)  # as on three devices
