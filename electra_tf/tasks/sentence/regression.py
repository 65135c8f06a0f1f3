"""Regression: each text, or pair of texts, has a number."""

import math
import re

import numpy as np
from keras import ops

from electra_tf.errors import UserError
from electra_tf.tasks.readers import json_text
from electra_tf.tasks.readers.tfds_source import NUMBER
from electra_tf.tasks.sentence.examples import SentencePredictions
from electra_tf.tasks.sentence.outputs import Output
from electra_tf.tasks.sentence.own_files import OwnFilesTask

TARGETS = "targets"  # float32 [B, 1], 0 for `low` and 1 for `high`
LARGEST = float(np.finfo(np.float32).max)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class Regression(Output):
    """A number; see `Output`.

    Args:
        low, high: labels that the loss scales to 0 and 1; predictions may lie outside.
    """

    metrics = ("spearman", "pearson", "mse")
    servable = "score"
    data_set_types = (NUMBER,)
    dtype = np.float32
    num_outputs = 1

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    @classmethod
    def of_config(cls, task):
        return cls(task.low, task.high) if task.low < task.high else None

    @classmethod
    def of_labels(cls, labels, path):
        values = [value for _, value in labels]
        low, high = min(values, default=0.0), max(values, default=0.0)
        if np.float32(low) == np.float32(high):
            raise UserError(
                f"A training file must have different numbers as labels. Received: "
                f"{path}, all {values[:1]}"
            )
        if high - low > LARGEST:
            raise UserError(
                f"Labels must differ by at most {LARGEST:.4g}. Received: {low} and {high} in {path}"
            )
        return cls(low, high)

    def facts(self, labels):
        values = labels.astype(np.float64)
        found = (("least", values.min()), ("mean", values.mean()), ("largest", values.max()))
        return {"numbers": {name: float(f"{value:.6g}") for name, value in found}}

    def remember(self, task):
        super().remember(task)
        task.low, task.high = self.low, self.high

    @staticmethod
    def parse(value, place):
        number = math.nan
        if isinstance(value, str):
            number = float(value) if _NUMBER.fullmatch(value.strip(" ")) else math.nan
        elif isinstance(value, int | float) and not isinstance(value, bool):
            # Beyond float64 only JSON's whole numbers can be.
            number = float(value) if abs(value) <= LARGEST else math.inf
        if math.isnan(number):
            raise UserError(
                f"A label must be a number. Received: {json_text.shown(value)} in {place}"
            )
        if abs(number) > LARGEST:
            raise UserError(
                f"A label must be a number from -{LARGEST:.4g} to {LARGEST:.4g}. "
                f"Received: {json_text.shown(value)} in {place}"
            )
        return number

    def encode(self, label, place):
        return label

    def loss_features(self, labels):
        scaled = (labels.astype(np.float64) - self.low) / (self.high - self.low)
        return {TARGETS: scaled.astype(np.float32)[:, None]}

    def losses(self, logits, batch):
        return ops.square(logits[:, 0] - batch[TARGETS][:, 0])

    def chance_loss(self, batch):
        """Variance of the scaled targets."""
        return float(batch[TARGETS].var())

    def outputs(self, logits):
        """`scores` float32 [B, 1], in the labels' units."""
        return {"scores": logits * (self.high - self.low) + self.low}

    def predict(self, outputs):
        return SentencePredictions(outputs["scores"][:, 0])

    def answers(self, predictions):
        for value in predictions.labels:
            yield {"score": round(float(value), 6)}


class RegressionTask(OwnFilesTask):
    """`Regression` on the user's own files."""

    output_class = Regression
