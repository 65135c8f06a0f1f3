"""Classification: each text, or pair of texts, has one label of several."""

import numpy as np
from keras import ops
from scipy import stats

from electra_tf.tasks.readers.tfds_source import CLASS, NUMBER, TEXT, TRUTH
from electra_tf.tasks.sentence.examples import SentencePredictions
from electra_tf.tasks.sentence.outputs import LabelOutput, parse_name
from electra_tf.tasks.sentence.own_files import OwnFilesTask

LABELS = "labels"  # int32 [B, 1], the number of the label


class Classification(LabelOutput):
    """One label; see `Output`."""

    metrics = ("accuracy", "macro_f1")
    servable = "label"
    data_set_types = (CLASS, TEXT, NUMBER, TRUTH)
    fewest_labels = 2
    parse = staticmethod(parse_name)

    @classmethod
    def of_labels(cls, labels, path):
        return cls.of_names(labels, path)

    def counts(self, labels):
        counts = np.bincount(labels, minlength=self.num_outputs)
        return dict(zip(self.labels, counts.tolist()))

    def encode(self, label, place):
        return self.number_of(label, place)

    def loss_features(self, labels):
        return {LABELS: labels[:, None]}

    def losses(self, logits, batch):
        chosen = ops.take_along_axis(logits, ops.cast(batch[LABELS], "int32"), axis=-1)
        return ops.logsumexp(logits, axis=-1) - chosen[:, 0]

    def chance_loss(self, batch):
        """Entropy of the labels."""
        return float(stats.entropy(np.bincount(batch[LABELS][:, 0])))

    def outputs(self, logits):
        """`probabilities` float32 [B, C]."""
        return {"probabilities": ops.softmax(logits)}

    def predict(self, outputs):
        probabilities = outputs["probabilities"]
        return SentencePredictions(probabilities.argmax(-1).astype(np.int32), probabilities)

    def answers(self, predictions):
        for label, probabilities in zip(predictions.labels, self.probabilities(predictions)):
            yield {"label": self.labels[label], "probabilities": probabilities}


class ClassificationTask(OwnFilesTask):
    """`Classification` of the user's own files."""

    output_class = Classification
    has_classes = True
