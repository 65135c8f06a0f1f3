"""Sentence tasks: one or two texts in; a label, several labels or a number out.

`SentenceTask` is what they share; `custom` makes one of the user's own files, `glue.task` one of
GLUE's.
"""

import abc
import dataclasses
import functools
import json
import os
from typing import Any

import keras
import numpy as np
from absl import logging
from keras import ops
from scipy import stats

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.files import write_text
from electra_tf.models.classification_head import ClassificationHead
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.tasks import sentence_metrics, tables
from electra_tf.tasks.finetuning import Encoded, FinetuningTask
from electra_tf.tasks.sentence_examples import Gathering, Sentences, parse_label, read_table
from electra_tf.text.framing import frame
from electra_tf.text.wordpiece import Tokenizer

METRICS = {"classification": ("accuracy", "macro_f1"),
           "multi_label": ("micro_f1", "macro_f1", "exact_match"),
           "regression": ("spearman", "pearson", "mse")}
LABELS, TARGETS = "labels", "targets"  # features of the losses
ROWS_PER_CALL = 8192  # framed at once, to bound what lies in memory besides the result


@dataclasses.dataclass
class SentencePredictions:
    """What a model says.

    Attributes:
        labels: as `Sentences.labels`.
        probabilities: float32 [N, C]; None in regression.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None


class SentenceTask(FinetuningTask):
    """Predicts labels or a number from the hidden state of [CLS]; appendix B of the paper.

    | kind           | loss of a row                            | prediction                    |
    | -------------- | ---------------------------------------- | ----------------------------- |
    | classification | softmax cross-entropy                    | the likeliest label           |
    | multi_label    | mean over labels, sigmoid cross-entropy  | labels of at least 0.5        |
    | regression     | squared error, of labels scaled to 0..1  | number in the labels' units   |

    Subclasses know the files: `splits`, `read`, `write`, and `labels` and `value_range` of their
    data.

    Args:
        kind: of METRICS.
        name: of results and prediction files.
        metrics: names of `sentence_metrics.METRICS`, the main one first.
        text_fields: of a table's text, or of its two texts.
        max_seq_length: tokens of the longest row, special tokens included.
        swap_in_training: pairs have no order: train on both.
        hidden_layer: of the head, see `ClassificationHead`.

    Raises:
        ValueError: max_seq_length has no room for a token of each text.
    """

    def __init__(self, kind: str, name: str, *, metrics: tuple[str, ...],
                 text_fields: tuple[str, ...], max_seq_length: int,
                 swap_in_training: bool = False, hidden_layer: bool = False):
        shortest = 2 * len(text_fields) + 1
        if max_seq_length < shortest:
            raise ValueError(f"max_seq_length must be at least {shortest}. "
                             f"Received: {max_seq_length}")
        self.kind, self.name, self.main_metric = kind, name, metrics[0]
        self.text_fields, self.max_seq_length = text_fields, max_seq_length
        self._metrics, self._swap_in_training = metrics, swap_in_training
        self._hidden_layer = hidden_layer

    @property
    @abc.abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the head's outputs; none in regression."""

    @property
    @abc.abstractmethod
    def value_range(self) -> tuple[float, float]:
        """Labels that the loss scales to 0 and 1, in regression."""

    def read_file(self, path: str) -> Sentences:
        """Examples to predict, of a .tsv, .csv or .jsonl file with the task's text fields.

        Raises:
            ValueError: see `read_table`.
        """
        return read_table(path, Gathering(path, len(self.text_fields)), self.text_fields)

    def encode(self, examples: Sentences, tokenizer: Tokenizer, training: bool) -> Encoded:
        """`[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`, one row per example.

        Rows are as long as the longest one needs, rounded up to a multiple of 8, at most
        `max_seq_length`; longer texts are cut, and a warning says how many. A task of unordered
        pairs has two rows per example in training.

        Differs from the original: rows are no longer than the split needs, and an empty second
        text keeps its [SEP].
        """
        first = tokenizer.ids_of_lines(examples.texts)
        second = None if examples.pairs is None else tokenizer.ids_of_lines(examples.pairs)
        lengths = first.row_lengths().numpy() + 2
        if second is not None:
            lengths += second.row_lengths().numpy() + 1
        self._warn_of_cuts(np.count_nonzero(lengths > self.max_seq_length), len(examples))
        width = min(-(-int(lengths.max(initial=1)) // 8) * 8, self.max_seq_length)
        orders = [(first, second)]
        if training and self._swap_in_training:
            orders.append((second, first))
        shape, every = (len(examples) * len(orders), width), len(orders)
        encoded = {features.INPUT_IDS: np.full(shape, tokenizer.vocabulary.pad_id, np.int32),
                   features.INPUT_MASK: np.zeros(shape, np.int32),
                   features.SEGMENT_IDS: np.zeros(shape, np.int32)}
        for start in range(0, len(examples), ROWS_PER_CALL):
            some = slice(start, start + ROWS_PER_CALL)
            for order, parts in enumerate(orders):
                framed = frame(*(None if part is None else part[some] for part in parts),
                               tokenizer.vocabulary, self.max_seq_length)
                for name, values in framed.items():
                    encoded[name][order::every][some, :values.shape[1]] = values.numpy()
        if training:
            encoded |= self._loss_features(np.repeat(examples.labels, every, axis=0))
        return Encoded(encoded, np.repeat(np.arange(len(examples), dtype=np.int32), every))

    def new_head(self, config: ModelConfig, dtype: str | None) -> ClassificationHead:
        num_outputs = 1 if self.kind == "regression" else len(self.labels)
        head = ClassificationHead(config, num_outputs, name="task",
                                  hidden_layer=self._hidden_layer, dtype=dtype)
        head.build()
        return head

    def losses(self, head: keras.layers.Layer, hidden, batch: dict, rng):
        logits = head(hidden, rng=rng)
        if self.kind == "classification":
            chosen = ops.take_along_axis(logits, ops.cast(batch[LABELS], "int32"), axis=-1)
            return ops.logsumexp(logits, axis=-1) - chosen[:, 0]
        if self.kind == "multi_label":
            labels = ops.cast(batch[LABELS], "float32")
            return ops.mean(binary_cross_entropy(logits, labels), axis=-1)
        return ops.square(logits[:, 0] - batch[TARGETS][:, 0])

    def chance_loss(self, encoded: Encoded) -> float:
        """Entropy of the labels; in regression the variance of the scaled targets."""
        if self.kind == "regression":
            return float(encoded.features[TARGETS].var())
        labels = encoded.features[LABELS]
        if self.kind == "classification":
            return float(stats.entropy(np.bincount(labels[:, 0])))
        share = labels.mean(axis=0)
        return float(np.mean(stats.entropy([share, 1.0 - share])))

    def outputs(self, head: keras.layers.Layer, hidden, batch: dict) -> dict[str, Any]:
        """`probabilities` float32 [B, C]; in regression `scores` [B, 1], in the labels' units."""
        logits = head(hidden)
        if self.kind == "regression":
            low, high = self.value_range
            return {"scores": logits * (high - low) + low}
        probabilities = ops.softmax if self.kind == "classification" else ops.sigmoid
        return {"probabilities": probabilities(logits)}

    def predict(self, examples: Sentences, encoded: Encoded, outputs: dict[str, np.ndarray]
                ) -> SentencePredictions:
        """Of rows that were encoded without `training`: one per example."""
        assert len(encoded.rows) == len(examples)
        if self.kind == "regression":
            return SentencePredictions(outputs["scores"][:, 0])
        probabilities = outputs["probabilities"]
        if self.kind == "classification":
            return SentencePredictions(probabilities.argmax(-1).astype(np.int32), probabilities)
        return SentencePredictions((probabilities >= 0.5).astype(np.int32), probabilities)

    def score(self, examples: Sentences, predictions: SentencePredictions) -> dict[str, float]:
        return sentence_metrics.score(self._metrics, examples.labels, predictions.labels)

    def write_file(self, examples: Sentences, predictions: SentencePredictions, path: str) -> None:
        """Writes JSON lines: id, label (labels, score), probabilities by label."""
        lines = [json.dumps({"id": identity, **answer}, ensure_ascii=False) + "\n"
                 for identity, answer in zip(examples.ids, self._answers(predictions), strict=True)]
        write_text(path, "".join(lines))

    def _answers(self, predictions: SentencePredictions):
        if self.kind == "regression":
            for value in predictions.labels:
                yield {"score": round(float(value), 6)}
            return
        for label, row in zip(predictions.labels, predictions.probabilities):
            chosen = ({"label": self.labels[label]} if self.kind == "classification" else
                      {"labels": [self.labels[number] for number in np.flatnonzero(label)]})
            yield chosen | {"probabilities": {name: round(float(value), 6)
                                              for name, value in zip(self.labels, row)}}

    def _loss_features(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        if self.kind == "multi_label":
            return {LABELS: labels}
        if self.kind == "classification":
            return {LABELS: labels[:, None]}
        low, high = self.value_range
        return {TARGETS: ((labels - low) / (high - low)).astype(np.float32)[:, None]}

    def _warn_of_cuts(self, count: int, total: int) -> None:
        if count:
            logging.warning("%s: %d of %d examples are longer than max_seq_length=%d tokens and "
                            "are cut", self.name, count, total, self.max_seq_length)


class _OwnTask(SentenceTask):
    """See `custom`."""

    def __init__(self, kind: str, name: str, *, data_dir: str, files: dict[str, str],
                 id_field: str, label_field: str, labels: tuple[str, ...],
                 value_range: tuple[float, float] | None, **settings):
        super().__init__(kind, name, metrics=METRICS[kind], **settings)
        self._data_dir, self._files = data_dir, files
        self._id_field, self._label_field = id_field, label_field
        self._given_labels, self._given_range = labels, value_range

    @property
    def splits(self) -> tuple[str, ...]:
        there = [split for split, file in self._files.items()
                 if file or tables.find(self._data_dir, _usual_names(split))]
        return tuple(dict.fromkeys(["train", *there]))

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The given ones, or those of the training file, sorted."""
        if self.kind == "regression" or self._given_labels:
            return self._given_labels
        names = set()
        for label in self._training_labels():
            names.update(label if self.kind == "multi_label" else [label])
        least = 1 if self.kind == "multi_label" else 2
        if len(names) < least:
            raise ValueError(f"A training file must have at least {least} different labels. "
                             f"Received: {', '.join(names) or 'none'} in {self._path('train')}")
        return tuple(sorted(names))

    @functools.cached_property
    def value_range(self) -> tuple[float, float]:
        """The given range, or that of the training file."""
        if self._given_range is not None:
            return self._given_range
        values = np.array(list(self._training_labels()))
        if not len(values) or values.min() == values.max():
            raise ValueError(f"A training file must have different numbers as labels. Received: "
                             f"{self._path('train')}, all {values[:1]}")
        return float(values.min()), float(values.max())

    def read(self, split: str) -> Sentences:
        path, is_test = self._path(split), split.startswith("test")
        kind, labels = (None, ()) if is_test else (self.kind, self.labels)
        return read_table(path, Gathering(path, len(self.text_fields), kind, labels),
                          self.text_fields, self._id_field,
                          "" if is_test else self._label_field)

    def read_file(self, path: str) -> Sentences:
        return read_table(path, Gathering(path, len(self.text_fields)), self.text_fields,
                          self._id_field)

    def write(self, split: str, examples: Sentences, predictions: SentencePredictions,
              directory: str) -> None:
        """Writes NAME-SPLIT.jsonl, see `write_file`."""
        self.write_file(examples, predictions,
                        os.path.join(directory, f"{self.name}-{split}.jsonl"))

    def _path(self, split: str) -> str:
        names = [self._files[split]] if self._files[split] else _usual_names(split)
        return tables.require(self._data_dir, names, f"The {split} file")

    def _training_labels(self):
        path = self._path("train")
        for line, (value,) in tables.rows(path, [self._label_field]):
            yield parse_label(self.kind, value, tables.at(path, line))


def _usual_names(split: str) -> list[str]:
    return [split + extension for extension in tables.EXTENSIONS]


def custom(kind: str, name: str, data_dir: str, *, train_file: str = "", eval_file: str = "",
           test_file: str = "", text_field: str = "text", pair_field: str = "",
           label_field: str = "label", id_field: str = "", labels: tuple[str, ...] = (),
           value_range: tuple[float, float] | None = None, max_seq_length: int = 128,
           hidden_layer: bool = False) -> SentenceTask:
    """A task of the user's own .tsv, .csv or .jsonl files; see `tables.rows`.

    Its splits are "train", "dev" and "test", as far as there are files; no file is read before
    it is needed.

    Args:
        kind: "classification", "multi_label" (in TSV and CSV labels are joined by `|`) or
            "regression".
        name: of results and prediction files.
        data_dir: where the files are.
        train_file, eval_file, test_file: names; empty: train, dev, test with .tsv, .csv or .jsonl,
            the first that there is.
        text_field, pair_field: of the text and the second text; no second text if empty.
        label_field: of the label; not read of the test file.
        id_field: what prediction files call an example; empty: its number, from 0.
        labels: names in the order of the head's outputs; empty: those of the training file, sorted.
        value_range: regression labels that are scaled to 0 and 1; None: least and largest of the
            training file.
        max_seq_length: longer examples are cut.
        hidden_layer: of the head, see `ClassificationHead`.

    Raises:
        ValueError: an unknown kind, or labels that occur twice.
    """
    if kind not in METRICS:
        raise ValueError(f"kind must be one of {', '.join(METRICS)}. Received: {kind!r}")
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels must be different names. Received: {', '.join(labels)}")
    return _OwnTask(
        kind, name, data_dir=data_dir,
        files={"train": train_file, "dev": eval_file, "test": test_file}, id_field=id_field,
        label_field=label_field, labels=tuple(labels), value_range=value_range,
        text_fields=(text_field, pair_field) if pair_field else (text_field,),
        max_seq_length=max_seq_length, hidden_layer=hidden_layer)
