"""A fine-tuning task as the training loop sees it, and its predictions.

Rows of similar length share a batch, and a batch is no wider than its longest row: most rows of
most tasks are much shorter than the longest one. What is compiled (XLA) needs one width, so there
all batches have it.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.finetuned import Finetuned
from electra_tf.models.initialization import initialize
from electra_tf.objectives.flops import TRAINING, multiply_adds
from electra_tf.objectives.phases import Phase
from electra_tf.tasks.base import Encoded, FinetuningTask

POOL = 32  # batches among which rows are sorted by length
WIDTHS = 8, 32  # batch widths are multiples of these, in training and in prediction


class FinetuningObjective:
    """The loss of a task's head, as the loop knows an `Objective`.

    Args:
        task: what is learnt.
        model_config: sizes of the encoder.
    """

    terms = {"loss": 1.0}
    headline = ()

    def __init__(self, task: FinetuningTask, model_config: ModelConfig):
        self._task, self._config = task, model_config

    def new_model(self, seed: int, dtype: str) -> Finetuned:
        """Freshly initialised network; call under the strategy's scope."""
        return initialize(
            Finetuned(self._config, self._task.new_head, dtype=dtype),
            self._config.initializer_range,
            seed,
        )

    def num_layers(self) -> dict[str, int]:
        """Depth of each network by its name in variable paths."""
        return {"discriminator": self._config.num_layers}

    def phases(self) -> tuple[Phase, ...]:
        """One: the whole run."""
        return (Phase(),)

    def check_rows(self, rows):
        pass

    def factors(self, step):
        return self.terms

    def prepare(self, batch, draws):
        return batch

    def loss_weights(self, batch):
        return {"loss": ops.sum(self._task.row_weights(batch))}

    def loss_sums(self, model, batch, draws, dropout):
        losses = self._task.losses(model.head, model(batch, dropout=dropout), batch, dropout)
        weights = self._task.row_weights(batch)
        total = ops.sum(losses * weights)
        return {"loss": total}, {"loss": total, "weight": ops.sum(weights)}

    def metrics(self, counts):
        return {"loss": float(counts["loss"] / counts["weight"])}


class LoopTask:
    """Gives the loop an objective and batches of one trial.

    It is not evaluated inside the loop, but on its predictions, after training. The order of the
    rows is a function of (seed, epoch); a batch may span two epochs.

    Args:
        task: what is learnt.
        model_config: sizes of the encoder.
        encoded: training rows.
        seed: of the order.
        batch_size: rows of a global batch.
        one_width: whether all batches are as wide as the longest row.
    """

    def __init__(
        self,
        task: FinetuningTask,
        model_config: ModelConfig,
        encoded: Encoded,
        seed: int,
        batch_size: int,
        one_width: bool,
    ):
        self.objective = FinetuningObjective(task, model_config)
        self._task, self._rows = task, encoded.features
        self._seed, self._batch_size, self._one_width = seed, batch_size, one_width
        self._lengths = _lengths(encoded)
        self._num_rows, self._width = encoded.features[features.INPUT_IDS].shape
        self._epoch, self._order = -1, np.empty(0, np.int64)
        # Of the average row: speed and share of the peak count no padding.
        self.seq_length = max(1, round(self._lengths.mean()))
        self.flops_per_token = TRAINING * multiply_adds(model_config, self.seq_length)

    def train_batches(self, start_step: int, rows: tuple[int, int], rows_per_batch: int):
        """Endless data set of [rows_per_batch, n] features from a step on.

        Args:
            start_step: first step to yield.
            rows: (first, end) of the rows of each global batch to yield.
            rows_per_batch: cuts them into consecutive elements of this size.
        """

        def generate():
            for step in itertools.count(start_step):
                batch = self.train_batch(step)
                for first in range(*rows, rows_per_batch):
                    yield {
                        name: value[first : first + rows_per_batch] for name, value in batch.items()
                    }

        def spec(name, value):
            varies = name in self._task.sequence_features and not self._one_width
            return tf.TensorSpec(
                [rows_per_batch, None if varies else value.shape[1]], _model_dtype(value)
            )

        return tf.data.Dataset.from_generator(
            generate,
            output_signature={name: spec(name, value) for name, value in self._rows.items()},
        ).prefetch(4)

    def train_batch(self, step: int) -> dict:
        """The whole global batch of a step, NumPy [batch_size, n]."""
        positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        chosen = np.array(
            [
                self._order_of(epoch)[place]
                for epoch, place in zip(*np.divmod(positions, self._num_rows), strict=True)
            ]
        )
        width = self._width
        if not self._one_width:
            width = _round_up(self._lengths[chosen].max(), WIDTHS[0], width)
        return _batch(self._rows, chosen, self._task.sequence_features, width)

    def _order_of(self, epoch):
        """The epoch's rows: shuffled, then sorted by length within POOL batches, these shuffled."""
        if epoch == self._epoch:
            return self._order
        random = np.random.default_rng([self._seed, epoch])
        order, size = random.permutation(self._num_rows), self._batch_size
        begun = -epoch * self._num_rows % size  # rows that complete the former epoch's last batch
        for first in range(begun, self._num_rows, POOL * size):
            pool = order[first : first + POOL * size]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            whole = len(pool) // size * size
            batches = random.permutation(pool[:whole].reshape(-1, size))
            order[first : first + len(pool)] = np.concatenate([batches.ravel(), pool[whole:]])
        self._epoch, self._order = epoch, order
        return order


def outputs_function(task: FinetuningTask, model: Finetuned) -> Callable[[dict], dict]:
    """A task's outputs for a batch, from a graph, which is traced once for each shape."""

    @tf.function(autograph=False)
    def outputs_of(batch):
        return task.outputs(model.head, model(batch), batch)

    # Else TensorFlow warns of one trace per shape, which is what is wanted.
    return lambda batch: outputs_of.get_concrete_function(batch)(batch)


def predict_outputs(
    task: FinetuningTask,
    model: Finetuned,
    encoded: Encoded,
    batch_size: int = 32,
    on_progress=None,
    outputs_of=None,
) -> dict[str, np.ndarray]:
    """A task's outputs for all rows, each once, on one device.

    Args:
        task, model, encoded: what to predict with, and on.
        batch_size: rows per call; the last call repeats its last row, whose outputs are dropped.
            Fewer rows than that are one call of the next power of two.
        on_progress: called with the share done after every call.
        outputs_of: an `outputs_function` to go on with; None: a new one.

    Returns:
        Arrays [N, …] by name; what has an axis of tokens is zero where a row was not padded to.
    """
    outputs_of = outputs_of or outputs_function(task, model)
    lengths, total = _lengths(encoded), len(encoded.rows)
    batch_size = min(batch_size, 1 << (total - 1).bit_length())
    order = np.argsort(lengths, kind="stable")
    inputs = {name: encoded.features[name] for name in features.data_features(packed=False)}
    parts = []
    for first in range(0, total, batch_size):
        rows = order[np.minimum(np.arange(first, first + batch_size), total - 1)]
        width = _round_up(lengths[rows].max(), WIDTHS[1], inputs[features.INPUT_IDS].shape[1])
        outputs = outputs_of(
            {
                name: tf.constant(value)
                for name, value in _batch(inputs, rows, inputs, width).items()
            }
        )
        parts.append({name: value.numpy()[: total - first] for name, value in outputs.items()})
        if on_progress:
            on_progress(min(1.0, (first + batch_size) / total))
    back = np.argsort(order)
    return {name: _joined([part[name] for part in parts])[back] for name in parts[0]}


def _joined(parts):
    """Concatenates [B, …] arrays whose second axes may differ."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    widest = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            np.pad(part, [(0, 0), (0, widest - part.shape[1])] + [(0, 0)] * (part.ndim - 2))
            for part in parts
        ]
    )


def _batch(arrays, rows, sequence_features, width):
    """Rows of all arrays in the dtypes that models take; sequences are cut to a width."""
    return {
        name: value[rows, : width if name in sequence_features else None].astype(
            _model_dtype(value)
        )
        for name, value in arrays.items()
    }


def _lengths(encoded):
    return np.count_nonzero(encoded.features[features.INPUT_MASK], axis=1)


def _round_up(length, multiple, limit):
    return min(int(-(-length // multiple) * multiple), limit)


def _model_dtype(array) -> Any:
    return np.float32 if array.dtype.kind == "f" else np.int32
