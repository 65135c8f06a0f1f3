"""What a fine-tuned model is in serving: its graph, and what is compared with the Keras model."""

import abc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from electra_tf.models.finetuned import Finetuned
from electra_tf.tasks.base import Encoded, FinetuningTask
from electra_tf.text.tokenizer import Tokenizer


class Expected(NamedTuple):
    """What the Keras model makes of the texts that a bundle was asked.

    Attributes:
        task, examples, encoded, outputs, predictions: of `FinetuningTask`, all texts together.
    """

    task: FinetuningTask
    examples: Any
    encoded: Encoded
    outputs: dict[str, np.ndarray]
    predictions: Any


class Servable(tf.Module, abc.ABC):
    """Predicts as `electra_tf predict` does, for any bytes.

    Invalid UTF-8 is dropped before anything else, and an empty batch gives empty tensors. All
    inputs and outputs are dense, and inputs that do not fit each other are an error of the call.
    How the client shows an answer, `client.answers` says by the names of the outputs.

    Args:
        task: of which this is the `servable`.
        model: with the task's head.
        tokenizer: of the vocabulary the model was trained with.

    Attributes:
        max_seq_length: tokens of the longest row.
        step: of the weights.
        tokenizer_files: what the bundle carries beside the graph.
    """

    step: int
    tokenizer_files: list[tf.saved_model.Asset]

    def __init__(self, task: FinetuningTask, model: Finetuned, tokenizer: Tokenizer):
        super().__init__()
        self.max_seq_length = task.max_seq_length
        self.weights = [variable.value for variable in model.trainable_variables]

    @abc.abstractmethod
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name, `serving_default` among them."""

    @abc.abstractmethod
    def warmup_inputs(self, texts: list[str]) -> dict[str, dict | list[tf.train.Example]]:
        """Inputs of every signature for a warm-up with these texts; examples for the RPCs."""

    @staticmethod
    @abc.abstractmethod
    def comparisons(
        answers: dict[str, np.ndarray], expected: Expected
    ) -> Iterator[tuple[str, Any, Any]]:
        """What `electra_tf check` compares.

        Args:
            answers: outputs of `serving_default`.
            expected: of the same texts.

        Yields:
            What it is, in words; what the bundle says; what the model says.
        """

    @staticmethod
    def row(texts: dict[str, str]) -> Any:
        """One example of `serving_default`, by the names of its inputs, as a row of the task."""
        first, *others = (texts[name] for name in sorted(texts))  # a text is before its pair
        return (first, *others) if others else first

    @staticmethod
    def ids_network(
        task: FinetuningTask, model: Finetuned
    ) -> tuple[Callable[[dict], dict], tuple[str, ...]]:
        """What a file for token ids computes: batches to outputs, and the labels of a last axis.

        Raises:
            UserError: this kind has none.
        """
        return lambda batch: task.outputs(model.head, model(batch), batch), ()
