"""Terms added to a detector's loss: with the others, without them, and where they cannot be."""

import numpy as np
import pytest

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import validate
from electra_tf.speed.memory import MemoryModel
from tests.unit.additions_step import LENGTH, NAMES, ON, ROWS, Step
from tests.unit.test_objectives import VOCAB, objective_of, ragged_batch, tiny_config

HEADS = ("corrective_head", "selection_head")


def test_without_weights_there_is_nothing_of_them():
    objective = objective_of(tiny_config())
    assert objective.terms == {"masked_lm": 1.0, "disc": 50.0}
    assert not [path for path in objective.variable_shapes() if path.split("/")[0] in HEADS]
    batch = objective.prepare(ragged_batch(), Draws(0, 0, ROWS))
    assert "crop_starts" not in batch and len(objective.passes()) == 2


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


def test_the_loss_is_what_is_trained(monkeypatch):
    step = Step(monkeypatch)
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
