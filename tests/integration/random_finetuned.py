"""Fine-tuned models with random weights."""

import keras
import numpy as np

from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.conversion.huggingface_finetuned import FinetunedModel
from electra_tf.models.finetuned import Finetuned
from electra_tf.saved import model_directory
from electra_tf.tasks import registry
from electra_tf.text.vocabulary import Vocabulary


def write_finetuned(directory, vocab_file, **task) -> str:
    """Writes a complete model of random weights, large enough that answers differ.

    Args:
        directory: to make.
        vocab_file: one token per line.
        **task: fields of config.task.
    """
    vocabulary = Vocabulary.from_file(vocab_file)
    config = FinetuneConfig()
    for name, value in {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "embedding_size": 16,
        "max_positions": 32,
    }.items():
        setattr(config.model, name, value)
    for name, value in ({"max_seq_length": 24} | task).items():
        setattr(config.task, name, value)
    with keras.StatelessScope(initialize_variables=False):
        model = Finetuned(config.model, registry.task_of_model(config).new_head)
    random = np.random.default_rng(1)
    weights = {variable.path: _values(variable, random) for variable in model.trainable_variables}
    model_directory.write(
        FinetunedModel(config, weights, vocabulary).check("the test"), str(directory)
    )
    return str(directory)


def _values(variable, random) -> np.ndarray:
    name = variable.path.rsplit("/", 1)[1]
    spread = 0.05 if name in ("bias", "beta") else 0.25  # else all answers are the same
    return random.normal(name == "gamma", spread, variable.shape).astype(np.float32)
