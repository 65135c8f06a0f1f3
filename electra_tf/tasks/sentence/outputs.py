"""What differs between the kinds of sentence tasks: labels, loss, metrics, predictions, answers."""

import abc
import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from electra_tf.config.finetuning import TaskConfig
from electra_tf.errors import UserError
from electra_tf.tasks import class_names
from electra_tf.tasks.readers import json_text
from electra_tf.tasks.sentence.examples import SentencePredictions


class Output(abc.ABC):
    """What is predicted from the hidden state of [CLS]; appendix B of the paper.

    | kind           | loss of a row                            | prediction                    |
    | -------------- | ---------------------------------------- | ----------------------------- |
    | classification | softmax cross-entropy                    | the likeliest label           |
    | multi_label    | mean over labels, sigmoid cross-entropy  | labels of at least 0.5        |
    | regression     | squared error, of labels scaled to 0..1  | number in the labels' units   |

    A label goes through three forms: as a file has it, `parse`d, and `encode`d as a row of
    `Sentences.labels`.

    Attributes:
        metrics: names of `metrics.METRICS` for own files, the main one first.
        servable: see `FinetuningTask`.
        data_set_types: of `tfds_source`, that a label may have in a TFDS data set.
        dtype: of `Sentences.labels`.
        labels: names, in the order of the head's outputs; none where numbers are predicted.
        num_outputs: of the head.
    """

    metrics: ClassVar[tuple[str, ...]]
    servable: ClassVar[str]
    data_set_types: ClassVar[tuple[str, ...]]
    dtype: ClassVar[type]
    labels: tuple[str, ...] = ()
    num_outputs: int

    @classmethod
    @abc.abstractmethod
    def of_config(cls, task: TaskConfig) -> "Output | None":
        """What the config says; None: the training file must tell."""

    @classmethod
    @abc.abstractmethod
    def of_labels(cls, labels: Iterable[tuple[int, Any]], path: str) -> "Output":
        """What a training file says.

        Args:
            labels: (line, parsed label) of each example.
            path: of the file.

        Raises:
            UserError: nothing can be learnt, or two names are probably one label.
        """

    def remember(self, task: TaskConfig) -> None:
        """Puts into a config what `of_config` needs."""
        task.set_label_names(self.labels)

    @staticmethod
    @abc.abstractmethod
    def parse(value: Any, place: str) -> Any:
        """A label as a file has it, checked; UserError if it is none."""

    @abc.abstractmethod
    def facts(self, labels: np.ndarray) -> dict[str, Any]:
        """What a file's labels are, for `FinetuningTask.facts`."""

    @abc.abstractmethod
    def encode(self, label: Any, place: str) -> Any:
        """A parsed label as a row of `Sentences.labels`; UserError if it is an unknown one."""

    @abc.abstractmethod
    def loss_features(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """What the loss needs of `Sentences.labels`, [N, n] each."""

    @abc.abstractmethod
    def losses(self, logits, batch: dict):
        """Of float32 [B, num_outputs] logits and `loss_features`: float32 [B]; keras.ops only."""

    @abc.abstractmethod
    def chance_loss(self, batch: dict[str, np.ndarray]) -> float:
        """Loss of the best guess that does not look at the input."""

    @abc.abstractmethod
    def outputs(self, logits) -> dict[str, Any]:
        """What predictions are made of, float32 [B, …]; keras.ops only."""

    @abc.abstractmethod
    def predict(self, outputs: dict[str, np.ndarray]) -> SentencePredictions:
        """Predictions from `outputs`."""

    @abc.abstractmethod
    def answers(self, predictions: SentencePredictions) -> Iterator[dict[str, Any]]:
        """For each example what JSON can hold."""


class LabelOutput(Output):
    """Predicts labels that have names.

    Args:
        labels: their names.

    Raises:
        UserError: a name occurs twice, or is empty.
    """

    dtype = np.int32
    fewest_labels: ClassVar[int]

    def __init__(self, labels: Iterable[str]):
        self.labels = tuple(labels)
        self.num_outputs = len(self.labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        if len(self._numbers) < len(self.labels):
            names = class_names.listed(self.labels)
            raise UserError(f"labels must be different names. Received: {names}")
        if not all(map(class_names.key_of, self.labels)):
            raise UserError(f"labels must be names and not empty. Received: {self.labels}")

    @classmethod
    def of_config(cls, task):
        names = task.label_names()
        return cls(names) if names else None

    @classmethod
    def of_names(cls, names: Iterable[tuple[int, str]], path: str) -> "LabelOutput":
        """Of the (line, name) pairs of a training file, sorted."""
        lines: dict[str, int] = {}
        for line, name in names:
            lines.setdefault(name, line)
        class_names.require_distinct(lines, "Labels", path)
        different = sorted(lines)
        if len(different) < cls.fewest_labels:
            raise UserError(
                f"A training file must have at least {cls.fewest_labels} different labels. "
                f"Received: {', '.join(different) or 'none'} in {path}"
            )
        return cls(different)

    def facts(self, labels):
        return {"labels": self.counts(labels)}

    @abc.abstractmethod
    def counts(self, labels: np.ndarray) -> dict[str, int]:
        """How many examples have each label."""

    def number_of(self, name: str, place: str) -> int:
        """The place of a label among `labels`."""
        if name not in self._numbers:
            key = class_names.key_of(name)
            alike = [known for known in self.labels if class_names.key_of(known) == key]
            raise UserError(
                f"A label must be one of {class_names.listed(self.labels)}. Received: "
                f"{class_names.short(name)!r} in {place}"
                + (f", which is not {class_names.short(alike[0])!r}" if alike else "")
            )
        return self._numbers[name]

    def probabilities(self, predictions: SentencePredictions) -> Iterator[dict[str, float]]:
        """For each example by label, as answers have them."""
        assert predictions.probabilities is not None, "labels have them"
        for row in predictions.probabilities:
            yield {name: round(float(value), 6) for name, value in zip(self.labels, row)}


def parse_name(value: Any, place: str) -> str:
    """The name of a label; a number or truth value of JSON is called what it is written like."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str) or not class_names.key_of(value):
        raise UserError(
            f"A label must be a name and not empty. Received: {json_text.shown(value)} in {place}"
        )
    return value
