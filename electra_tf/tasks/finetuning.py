"""What a fine-tuning task is: files to features, a head with its loss, outputs to metrics.

The loop, trials, resume and export know this interface only. A task is a subclass in a file of
its own; `config.task` says which one, and with which fields of which files.
"""

import abc
import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.randomness import DropoutRandom
from electra_tf.text.wordpiece import Tokenizer


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


class FinetuningTask(abc.ABC):
    """One task, with its data in local files.

    Attributes:
        name: what results and prediction files are called.
        splits: names of the splits there are, "train" first; those whose name starts with "test"
            have no labels, all others are evaluated.
        main_metric: of `score`, by which trials are compared; larger is better.
        sequence_features: names of features with one column per token, which are cut to the width
            of a batch.
    """

    name: str
    splits: tuple[str, ...]
    main_metric: str
    sequence_features: tuple[str, ...] = features.data_features(packed=False)

    @abc.abstractmethod
    def read(self, split: str) -> Any:
        """The examples of a split, with a length.

        Raises:
            ValueError: a missing file or column, an unknown label, …: names file and line.
        """

    @abc.abstractmethod
    def encode(self, examples: Any, tokenizer: Tokenizer, training: bool) -> Encoded:
        """Tokenizes; `training` adds the loss's features and may leave out or double examples."""

    @abc.abstractmethod
    def new_head(self, config: ModelConfig, dtype: str | None) -> keras.layers.Layer:
        """What sits on the encoder; a layer named "task", built."""

    @abc.abstractmethod
    def losses(self, head: keras.layers.Layer, hidden, batch: dict, rng: DropoutRandom | None):
        """Training loss of each row; keras.ops only.

        Args:
            head: of `new_head`.
            hidden: [B, L, H] encoder output in the compute dtype.
            batch: rows of `Encoded.features`.
            rng: dropout, or None for none.

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
    def write_file(self, examples: Any, predictions: Any, path: str) -> None:
        """Writes one file with all predictions, complete or not at all."""
