"""Multi-label classification: each text, or pair of texts, has any number of labels."""

import numpy as np
from keras import ops
from scipy import stats

from electra_tf.errors import UserError
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.tasks.readers import json_text
from electra_tf.tasks.readers.tfds_source import CLASS, TEXT
from electra_tf.tasks.sentence.examples import SentencePredictions
from electra_tf.tasks.sentence.outputs import LabelOutput, parse_name
from electra_tf.tasks.sentence.own_files import OwnFilesTask

LABELS = "labels"  # int32 [B, C], 1 where a label applies
SEPARATOR = "|"  # between several labels in one field of a TSV or CSV file
THRESHOLD = 0.5  # a label of at least this probability is predicted


class MultiLabel(LabelOutput):
    """Any number of labels; see `Output`.

    They are a list in JSONL and joined by `|` in TSV and CSV, where an empty field has none.
    """

    metrics = ("micro_f1", "macro_f1", "exact_match")
    servable = "labels"
    data_set_types = (f"list of {CLASS}", f"list of {TEXT}")
    fewest_labels = 1

    @classmethod
    def of_labels(cls, labels, path):
        return cls.of_names(((line, name) for line, names in labels for name in names), path)

    @staticmethod
    def parse(value, place):
        if isinstance(value, str):
            value = value.split(SEPARATOR) if value else []
        if not isinstance(value, list):
            raise UserError(
                f"Several labels must be a list. Received: {json_text.shown(value)} in {place}"
            )
        return [parse_name(name, place) for name in value]

    def facts(self, labels):
        return super().facts(labels) | {"without label": int((labels.sum(axis=1) == 0).sum())}

    def counts(self, labels):
        return dict(zip(self.labels, labels.sum(axis=0).tolist()))

    def encode(self, label, place):
        row = np.zeros(self.num_outputs, np.int32)
        row[[self.number_of(name, place) for name in label]] = 1
        return row

    def loss_features(self, labels):
        return {LABELS: labels}

    def losses(self, logits, batch):
        labels = ops.cast(batch[LABELS], "float32")
        return ops.mean(binary_cross_entropy(logits, labels), axis=-1)

    def chance_loss(self, batch):
        """Entropy of each label's presence, the mean over labels."""
        share = batch[LABELS].mean(axis=0)
        return float(np.mean(stats.entropy([share, 1.0 - share])))

    def outputs(self, logits):
        """`probabilities` float32 [B, C]."""
        return {"probabilities": ops.sigmoid(logits)}

    def predict(self, outputs):
        probabilities = outputs["probabilities"]
        return SentencePredictions((probabilities >= THRESHOLD).astype(np.int32), probabilities)

    def answers(self, predictions):
        for row, probabilities in zip(predictions.labels, self.probabilities(predictions)):
            chosen = [self.labels[number] for number in np.flatnonzero(row)]
            yield {"labels": chosen, "probabilities": probabilities}


class MultiLabelTask(OwnFilesTask):
    """`MultiLabel` classification of the user's own files."""

    output_class = MultiLabel
