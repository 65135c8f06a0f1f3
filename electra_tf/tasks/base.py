"""What a fine-tuning task is: files to features, a head with its loss, outputs to metrics.

The loop, trials, resume and export know this interface only. A kind of task is a subclass, by
whose name in `registry.KINDS` `config.task.kind` asks for it; what a server answers and what
`electra_tf check` compares says the servable that it names.
"""

import abc
import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.config.finetuning import FinetuneDataConfig, TaskConfig
from electra_tf.files import write_text
from electra_tf.models.randomness import Dropout
from electra_tf.tasks.readers.tfds import DataSetFiles
from electra_tf.tasks.readers.tfds_source import DataSet
from electra_tf.text.tokenizer import Tokenizer


@dataclasses.dataclass
class Encoded:
    """Examples as model input; a long example may become several rows.

    Attributes:
        features: `input_ids`, `input_mask`, `segment_ids` int32 [N, L], and in training what the
            loss needs, by the task's own names: [N, n] int32 or float32, always two axes.
        rows: int32 [N], the example that each row belongs to; ascending.
    """

    features: dict[str, np.ndarray]
    rows: np.ndarray

    def choose(self, number: int, seed: int) -> "Encoded":
        """A seeded choice of so many examples, with all their rows; 0 takes all."""
        examples = np.unique(self.rows)
        if not number or number >= len(examples):
            return self
        chosen = np.random.default_rng([seed, number]).choice(examples, number, replace=False)
        kept = np.isin(self.rows, chosen)
        return Encoded(
            {name: value[kept] for name, value in self.features.items()}, self.rows[kept]
        )


class FinetuningTask(abc.ABC):
    """One task, with its data in local files.

    Attributes:
        name: what results and prediction files are called.
        splits: names of the splits there are, "train" first; those whose name starts with "test"
            have no labels, all others are evaluated.
        main_metric: of `score`, by which trials are compared; larger is better.
        max_seq_length: tokens of the longest row, [CLS] and [SEP] included.
        sequence_features: names of features with one column per token, which are cut to the width
            of a batch.
        servable: what serves it, of `serving.graph.finetuned.SERVABLES`.
        has_classes: whether each example has one label of several, as TFX's Evaluator needs it; of
            the class: whether there are such tasks of this kind.
    """

    name: str
    splits: tuple[str, ...]
    main_metric: str
    max_seq_length: int
    sequence_features: tuple[str, ...] = features.data_features(packed=False)
    servable: str
    has_classes: bool = False

    @classmethod
    @abc.abstractmethod
    def from_config(cls, task: TaskConfig, data: FinetuneDataConfig) -> "FinetuningTask":
        """The task of a config.

        Args:
            task: its settings.
            data: its files; `dir` is a directory, or empty for a task that only predicts.

        Raises:
            UserError: a setting, or files that are missing or cannot be read.
        """

    @classmethod
    @abc.abstractmethod
    def files_of_data_set(cls, data: DataSet, task: TaskConfig) -> DataSetFiles:
        """How the files of a TFDS data set are written for `read`; UserError if it does not fit."""

    @classmethod
    def title(cls, task: TaskConfig) -> str:
        """What runs of a task are called where nobody names them."""
        return task.kind

    def remember(self, task: TaskConfig) -> None:  # noqa: B027 (most have nothing to add)
        """Puts into a config what the training file has told, so that it is needed no more."""

    @abc.abstractmethod
    def read(self, split: str) -> Any:
        """The examples of a split, with a length.

        Raises:
            UserError: a missing file or column, an unknown label, …: names file and line.
        """

    def facts(self, examples: Any) -> dict[str, Any]:
        """What was understood of a file with labels or without, for people and results.json.

        Returns:
            The file's name, how many examples there are and what was left out, names or numbers of
            columns, each label's count: numbers, texts, and dicts of them.
        """
        return {"examples": len(examples)}

    @abc.abstractmethod
    def encode(self, examples: Any, tokenizer: Tokenizer, training: bool) -> Encoded:
        """Tokenizes; `training` adds the loss's features and may leave out or double examples."""

    @abc.abstractmethod
    def new_head(self, config: ModelConfig, dtype: str | None) -> keras.layers.Layer:
        """What sits on the encoder; a layer named "task", built."""

    @abc.abstractmethod
    def losses(self, head: keras.layers.Layer, hidden, batch: dict, dropout: Dropout | None):
        """Training loss of each row; keras.ops only.

        Args:
            head: of `new_head`.
            hidden: [B, L, H] encoder output in the compute dtype.
            batch: rows of `Encoded.features`.
            dropout: dropout, or None for none.

        Returns:
            float32 [B]. The loss of a step is their mean, weighted by `row_weights`.
        """

    def row_weights(self, batch: dict):
        """What each row counts in the loss, float32 [B]; keras.ops only."""
        return ops.ones_like(batch[features.INPUT_IDS][:, 0], dtype="float32")

    @abc.abstractmethod
    def chance_loss(self, encoded: Encoded) -> float:
        """Training loss of the best guess that does not look at the input."""

    @abc.abstractmethod
    def outputs(self, head: keras.layers.Layer, hidden, batch: dict) -> dict[str, Any]:
        """What predictions are made of, float32 or int32 [B, …]; keras.ops only, no dropout."""

    @abc.abstractmethod
    def predict(self, examples: Any, encoded: Encoded, outputs: dict[str, np.ndarray]) -> Any:
        """Predictions for examples, from `outputs` of all their rows, as NumPy arrays."""

    @abc.abstractmethod
    def score(self, examples: Any, predictions: Any) -> dict[str, float]:
        """Metrics from 0 to 1 (correlations from -1), `main_metric` first."""

    def calibrate(self, examples: Any, predictions: Any) -> dict[str, float]:
        """Finds on a split with labels what later predictions need, such as a threshold.

        Returns:
            Fields of `config.task`, which predicting with this model will have.
        """
        return {}

    @abc.abstractmethod
    def write(self, split: str, examples: Any, predictions: Any, directory: str) -> None:
        """Writes the prediction files of a split, by the names that the field's servers ask for."""

    @abc.abstractmethod
    def read_file(self, path: str) -> Any:
        """Examples of any file in the task's layout, to be predicted; labels are not needed."""

    @abc.abstractmethod
    def examples_from_rows(self, rows: Iterable[Any]) -> Any:
        """Examples to be predicted, from Python values in place of a file.

        Args:
            rows: dicts of the task's fields, or what stands for them: a text, a pair of texts,
                a list of words.

        Raises:
            UserError: a row of another form; names it, as `rows[3]`, and the rule.
        """

    @abc.abstractmethod
    def answers(self, examples: Any, predictions: Any) -> list[dict[str, Any]]:
        """Predictions for people and programs: for each example what JSON can hold."""

    def write_file(self, examples: Any, predictions: Any, path: str) -> None:
        """Writes one file with all `answers`, JSON lines; complete or not at all."""
        answers = self.answers(examples, predictions)
        lines = (json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
        write_text(path, "".join(lines))
