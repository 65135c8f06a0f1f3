"""A step of ELECTRA with all terms that can be added to its loss, for their tests."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.objectives.additions import selection
from tests.unit import objective_step
from tests.unit.test_objectives import tiny_config

ROWS, LENGTH, SIZE = 12, 40, 4
ON = {
    "contrastive_weight": 2.0,
    "contrastive_rows": SIZE,
    "contrastive_temperature": 0.5,
    "corrective_weight": 3.0,
    "selection_weight": 5.0,
}
NAMES = ["contrastive", "corrective", "selection"]


class Step(objective_step.Step):
    """One step of ELECTRA with all terms."""

    def __init__(self, monkeypatch, sharing="none", **objective):
        config = tiny_config(**ON, **objective)
        config.model.sharing = sharing
        candidates, draw = [], selection.Selection._candidates

        def noted(*args):
            candidates.append(draw(*args))
            return candidates[-1]

        with monkeypatch.context() as patch:
            patch.setattr(selection.Selection, "_candidates", noted)
            super().__init__(config, monkeypatch, ROWS, LENGTH)
        self.candidates = candidates[-1].numpy()
        self.ids, self.used = (
            self.batch[name].numpy() for name in ("masked_ids", "masked_weights")
        )

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
