"""One step of an objective, done eagerly, for the tests that repeat its numbers in NumPy."""

import numpy as np
import tensorflow as tf

from electra_tf.models.randomness import Draws
from electra_tf.objectives import masking
from tests.unit.test_objectives import objective_of, ragged_batch


class Step:
    """One step of a fresh model, with the text that its main network reads.

    The generator's samples are as of one that guesses the first masked token of each row.

    Args:
        config: of the objective.
        monkeypatch: of the test; nothing stays changed.
        rows, length: of the batch.
    """

    def __init__(self, config, monkeypatch, rows, length):
        config.model.initializer_range = 0.3
        self.objective = objective_of(config)
        self.model, draws = self.objective.new_model(1), Draws(0, 0, rows)
        self.batch = self.objective.prepare(ragged_batch(rows, length), draws)
        written, replace = [], masking.replace_masked

        def keep_first(batch, ids):
            first = tf.range(ids.shape[1]) == 0
            written.append(replace(batch, tf.where(first, batch["masked_ids"], ids)))
            return written[-1]

        with monkeypatch.context() as patch, tf.GradientTape(persistent=True) as self.tape:
            patch.setattr(masking, "replace_masked", keep_first)
            self.sums, counts = self.objective.loss_sums(self.model, self.batch, draws, None)
        self.counts = {name: each.numpy() for name, each in counts.items()}
        self.metrics = self.objective.metrics(self.counts)
        self.weights = self.objective.loss_weights(self.batch)
        self.replaced = written[-1].numpy()
        self.hidden = self.states({**self.batch, "input_ids": self.replaced})

    def states(self, batch):
        """Of the main network."""
        return np.asarray(getattr(self.model, self.objective.encoder)(batch), np.float64)

    def weight(self, path):
        [found] = [each for each in self.model.trainable_variables if each.path == path]
        return np.asarray(found, np.float64)

    def gradients(self, term):
        """By path; None where nothing flows."""
        variables = {each.path: each.value for each in self.model.trainable_variables}
        return self.tape.gradient(self.sums[term], variables)
