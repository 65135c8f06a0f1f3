"""What all sentence tasks share: one or two texts in, `Output` from the hidden state of [CLS]."""

import abc
import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from absl import logging

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.errors import UserError
from electra_tf.models.classification_head import ClassificationHead
from electra_tf.tasks.base import Encoded, FinetuningTask
from electra_tf.tasks.sentence import metrics as sentence_metrics
from electra_tf.tasks.sentence.examples import (
    Gathering,
    SentencePredictions,
    Sentences,
    read_table,
    sentences_of_rows,
)
from electra_tf.tasks.sentence.outputs import Output
from electra_tf.text.framing import frame
from electra_tf.text.tokenizer import Tokenizer

ROWS_PER_CALL = 8192  # framed at once, to bound what lies in memory besides the result


class SentenceTask(FinetuningTask):
    """Predicts what its `output` says. Subclasses know the files: `splits`, `read`, `write`.

    Args:
        name: of results and prediction files.
        metrics: names of `metrics.METRICS`, the main one first.
        text_fields: of a table's text, or of its two texts.
        max_seq_length: tokens of the longest row, special tokens included.
        swap_in_training: pairs have no order: train on both.
        hidden_layer: of the head, see `ClassificationHead`.

    Raises:
        UserError: max_seq_length has no room for a token of each text.
    """

    id_field = ""  # of tables and rows to predict; empty: they are counted

    def __init__(
        self,
        name: str,
        *,
        metrics: tuple[str, ...],
        text_fields: tuple[str, ...],
        max_seq_length: int,
        swap_in_training: bool = False,
        hidden_layer: bool = False,
    ):
        shortest = 2 * len(text_fields) + 1
        if max_seq_length < shortest:
            raise UserError(
                f"max_seq_length must be at least {shortest}. Received: {max_seq_length}"
            )
        self.name, self.main_metric = name, metrics[0]
        self.text_fields, self.max_seq_length = text_fields, max_seq_length
        self._metrics, self._swap_in_training = metrics, swap_in_training
        self._hidden_layer = hidden_layer

    @property
    @abc.abstractmethod
    def output(self) -> Output:
        """Labels, loss, predictions, answers."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the head's outputs; none in regression."""
        return self.output.labels

    @property
    @abc.abstractmethod
    def known_labels(self) -> tuple[str, ...]:
        """The labels as far as they are known without any file."""

    @property
    @abc.abstractmethod
    def usual_files(self) -> tuple[tuple[str, ...], ...]:
        """Names of files that are read where the config names none; of each the first there is."""

    @property
    def servable(self) -> str:
        return self.output.servable

    def facts(self, examples: Sentences) -> dict[str, Any]:
        facts = {"file": os.path.basename(examples.path), "examples": len(examples)}
        if examples.left_out:
            facts["left out"] = examples.left_out
        facts["columns"] = examples.columns
        if examples.labels is not None:
            facts |= self.output.facts(examples.labels)
        return facts

    def read_file(self, path: str) -> Sentences:
        """Examples to predict, of a .tsv, .csv or .jsonl file with the task's text fields.

        Raises:
            UserError: see `read_table`.
        """
        gathering = Gathering(path, len(self.text_fields))
        return read_table(path, gathering, self.text_fields, self.id_field)

    def examples_from_rows(self, rows: Iterable[Any]) -> Sentences:
        """Of texts, or pairs of texts where the task has pairs, or dicts of the text fields."""
        return sentences_of_rows(rows, self.text_fields, self.id_field)

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
        self._warn_of_cuts(int(np.count_nonzero(lengths > self.max_seq_length)), len(examples))
        width = min(-(-int(lengths.max(initial=1)) // 8) * 8, self.max_seq_length)
        orders = [(first, second)]
        if training and self._swap_in_training and second is not None:
            orders.append((second, first))
        shape, every = (len(examples) * len(orders), width), len(orders)
        encoded = {
            features.INPUT_IDS: np.full(shape, tokenizer.vocabulary.pad_id, np.int32),
            features.INPUT_MASK: np.zeros(shape, np.int32),
            features.SEGMENT_IDS: np.zeros(shape, np.int32),
        }
        for start in range(0, len(examples), ROWS_PER_CALL):
            some = slice(start, start + ROWS_PER_CALL)
            for order, parts in enumerate(orders):
                text, pair = parts[0][some], None if parts[1] is None else parts[1][some]
                framed = frame(text, pair, tokenizer.vocabulary, self.max_seq_length)
                for name, values in framed.items():
                    encoded[name][order::every][some, : values.shape[1]] = values.numpy()
        if training:
            labels = np.repeat(examples.required_labels, every, axis=0)
            encoded |= self.output.loss_features(labels)
        return Encoded(encoded, np.repeat(np.arange(len(examples), dtype=np.int32), every))

    def new_head(self, config: ModelConfig, dtype: str | None) -> ClassificationHead:
        head = ClassificationHead(
            config,
            self.output.num_outputs,
            name="task",
            hidden_layer=self._hidden_layer,
            dtype=dtype,
        )
        head.build()
        return head

    def losses(self, head: keras.layers.Layer, hidden, batch: dict, dropout):
        return self.output.losses(head(hidden, dropout=dropout), batch)

    def chance_loss(self, encoded: Encoded) -> float:
        return self.output.chance_loss(encoded.features)

    def outputs(self, head: keras.layers.Layer, hidden, batch: dict) -> dict[str, Any]:
        return self.output.outputs(head(hidden))

    def predict(
        self, examples: Sentences, encoded: Encoded, outputs: dict[str, np.ndarray]
    ) -> SentencePredictions:
        """Of rows that were encoded without `training`: one per example."""
        assert len(encoded.rows) == len(examples)
        return self.output.predict(outputs)

    def score(self, examples: Sentences, predictions: SentencePredictions) -> dict[str, float]:
        return sentence_metrics.score(self._metrics, examples.required_labels, predictions.labels)

    def answers(
        self, examples: Sentences, predictions: SentencePredictions
    ) -> list[dict[str, Any]]:
        """`id`, then `label`, `labels` or `score`, and `probabilities` by label."""
        return [
            {"id": identity, **answer}
            for identity, answer in zip(examples.ids, self.output.answers(predictions), strict=True)
        ]

    def _warn_of_cuts(self, count: int, total: int) -> None:
        if count:
            logging.warning(
                "%s: %d of %d examples are longer than max_seq_length=%d tokens and are cut",
                self.name,
                count,
                total,
                self.max_seq_length,
            )
