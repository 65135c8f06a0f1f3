"""A step of ELECTRA with all terms that can be added to its loss, for their tests."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.models.randomness import Draws
from electra_tf.objectives import masking
from electra_tf.objectives.additions import selection
from tests.unit.test_objectives import objective_of, ragged_batch, tiny_config

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


def assert_differences(gradient, loss, number, places, rtol=1e-4):
    """Holds places of a gradient to central differences of `loss` of as many numbers."""
    for place in places:
        moved = np.zeros(number)
        moved[place] = 1e-5
        difference = (loss(moved) - loss(-moved)) / 2e-5
        assert float(gradient[place]) == pytest.approx(difference, rel=rtol, abs=1e-5), place
