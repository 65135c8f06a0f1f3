"""A fine-tuned model on disk as a serving graph for its task."""

import json
import os

import tensorflow as tf

from electra_tf.finetune_config import FinetuneConfig
from electra_tf.models.finetuned import Finetuned
from electra_tf.serving.graph.answerer import Answerer
from electra_tf.serving.graph.precision import dtype_of
from electra_tf.serving.graph.sentences import SentencePredictor
from electra_tf.serving.graph.tagger import Tagger
from electra_tf.tasks import registry
from electra_tf.tasks.finetuning import FinetuningTask
from electra_tf.tasks.question_answering import QuestionAnsweringTask
from electra_tf.tasks.tagging import TaggingTask
from electra_tf.text.wordpiece import Tokenizer
from electra_tf.train.checkpoint import SavedWeights
from electra_tf.train.model_directory import VOCABULARY


def is_finetuned(directory: str) -> bool:
    """Whether config.json there says that the model is fine-tuned; False without the file."""
    try:
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
            return "task" in json.load(file)
    except FileNotFoundError:
        return False


def load_finetuned(directory: str, max_seq_length: int | None = None,
                   precision: str = "float32") -> tf.Module:
    """The serving graph of a complete fine-tuning, or of a converted fine-tuned model.

    Args:
        directory: config.json, vocab.txt, checkpoints/.
        max_seq_length: tokens of the longest row; None: as in training.
        precision: of PRECISIONS; what the network computes in. Outputs are float32.

    Returns:
        A module with `signatures()`, `warmup_inputs(texts)`, `max_seq_length` and `step`.

    Raises:
        ValueError: the directory is incomplete, or the length is not one for the model and task.
    """
    task, model, tokenizer, config = load_network(directory, max_seq_length, precision)
    if isinstance(task, TaggingTask):
        servable = Tagger(task, model, tokenizer)
    elif isinstance(task, QuestionAnsweringTask):
        servable = Answerer(config.task, task, model, tokenizer)
    else:
        servable = SentencePredictor(task, model, tokenizer)
    servable.max_seq_length = config.task.max_seq_length
    servable.step = SavedWeights(os.path.join(directory, "checkpoints")).step
    return servable


def load_network(directory: str, max_seq_length: int | None = None, precision: str = "float32"
                 ) -> tuple[FinetuningTask, Finetuned, Tokenizer, FinetuneConfig]:
    """The parts of a fine-tuned model; arguments and errors as of `load_finetuned`."""
    config = FinetuneConfig.load(directory)
    if not os.path.exists(os.path.join(directory, "checkpoints")):
        raise ValueError("A fine-tuning must be complete before its model can be used: repeat its "
                         f"command. Received: {directory} without checkpoints/")
    longest = config.model.max_positions
    length = config.task.max_seq_length if max_seq_length is None else max_seq_length
    if length > longest:
        raise ValueError(f"max_seq_length must be at most the model's positions, {longest}. "
                         f"Received: {length}")
    config.task.max_seq_length = length
    task = registry.task_of_model(config)
    model = Finetuned(config.model, task.new_head, dtype=dtype_of(precision))
    SavedWeights(os.path.join(directory, "checkpoints")).assign(
        {variable.path: variable.value for variable in model.trainable_variables})
    tokenizer = Tokenizer(os.path.join(directory, VOCABULARY), config.data.lower_case,
                          config.data.strip_accents)
    return task, model, tokenizer, config
