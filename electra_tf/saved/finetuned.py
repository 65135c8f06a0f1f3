"""A fine-tuned model on disk: its task, its network, its tokenizer."""

import dataclasses
import os

from electra_tf import config as configuration
from electra_tf import file_systems
from electra_tf.config import Config
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.config.json_config import is_finetuning, read_fields
from electra_tf.config.sections import TokenizerConfig
from electra_tf.errors import UserError
from electra_tf.models.finetuned import HEAD, Finetuned
from electra_tf.saved.model_directory import (
    Pretrained,
    allow_any_size,
    tokenizer_of,
    vocabulary_of,
)
from electra_tf.saved.precision import dtype_of
from electra_tf.saved.weights import SavedWeights
from electra_tf.tasks import registry
from electra_tf.tasks.base import FinetuningTask
from electra_tf.text.tokenizer import Tokenizer


def is_finetuned(directory: str) -> bool:
    """Whether config.json there says that the model is fine-tuned; False without the file."""
    return is_finetuning(read_fields(directory))


def config_of(directory: str) -> Config | FinetuneConfig:
    """The config of a run or model directory, pre-trained or fine-tuned."""
    if is_finetuned(directory):
        return FinetuneConfig.load(directory)
    return configuration.load(directory)


def load_network(
    directory: str, max_seq_length: int | None = None, precision: str = "float32"
) -> tuple[FinetuningTask, Finetuned, Tokenizer, FinetuneConfig]:
    """The parts of a fine-tuned model; arguments and errors as of `load_finetuned`."""
    config = FinetuneConfig.load(directory)
    saved = _weights(directory)
    longest = config.model.max_positions
    length = config.task.max_seq_length if max_seq_length is None else max_seq_length
    if length > longest:
        raise UserError(
            f"max_seq_length must be at most the model's positions, {longest}. Received: {length}"
        )
    config.task.max_seq_length = length
    task = registry.task_of_model(config)
    model = Finetuned(config.model, task.new_head, dtype=dtype_of(precision))
    saved.assign({variable.path: variable.value for variable in model.trainable_variables})
    tokenizer = tokenizer_of(directory, config)
    tokenizer.max_seq_length = length
    return task, model, tokenizer, config


def read_encoder(directory: str) -> Pretrained:
    """The encoder of a fine-tuned model, as a pre-trained one without generator and heads."""
    tuned, saved = FinetuneConfig.load(directory), _weights(directory)
    config = Config(model=tuned.model)
    for field in dataclasses.fields(TokenizerConfig):
        setattr(config.data, field.name, getattr(tuned.data, field.name))
    allow_any_size(config)
    weights = {path: saved.read(path) for path in saved.shapes if not path.startswith(f"{HEAD}/")}
    return Pretrained(config, weights, vocabulary_of(directory, tuned), saved.step)


def _weights(directory: str) -> SavedWeights:
    path = os.path.join(directory, "checkpoints")
    if not file_systems.exists(path):
        raise UserError(
            "A fine-tuning must be complete before its model can be used: repeat its "
            f"command. Received: {directory} without checkpoints/"
        )
    return SavedWeights(path)
