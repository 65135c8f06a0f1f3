"""Predictions of a fine-tuned model for a file."""

import os
import sys

from tqdm import tqdm

from electra_tf.finetune_config import FinetuneConfig
from electra_tf.models.finetuned import Finetuned
from electra_tf.tasks import registry
from electra_tf.tasks.finetuning import FinetuningTask
from electra_tf.tasks.finetuning_loop import predict_outputs
from electra_tf.text.wordpiece import Tokenizer
from electra_tf.train.checkpoint import SavedWeights
from electra_tf.train.model_directory import VOCABULARY


def predict(model: str, source: str, output: str) -> int:
    """Predicts for every example of a file; returns how many there are.

    Args:
        model: workdir of a complete fine-tuning.
        source: a file in the task's layout, with or without labels.
        output: file to write, complete or not at all: {id: text} for questions, JSON lines else.

    Raises:
        ValueError: no fine-tuned model, or the file is not in the task's layout.
    """
    config, task, network = load(model)
    examples = task.read_file(source)
    tokenizer = Tokenizer(os.path.join(model, VOCABULARY), config.data.lower_case,
                          config.data.strip_accents)
    encoded = task.encode(examples, tokenizer, training=False)
    with tqdm(total=len(encoded.rows), unit=" rows", desc="predicting",
              disable=not sys.stderr.isatty()) as bar:
        outputs = predict_outputs(
            task, network, encoded,
            on_progress=lambda share: bar.update(round(share * bar.total) - bar.n))
    task.write_file(examples, task.predict(examples, encoded, outputs), output)
    return len(examples)


def load(model: str) -> tuple[FinetuneConfig, FinetuningTask, Finetuned]:
    """A fine-tuned model, in float32."""
    config = FinetuneConfig.load(model)
    task = registry.task_of_model(config)
    if not os.path.exists(os.path.join(model, "checkpoints")):
        raise ValueError(f"A fine-tuning must be complete before its model can predict: repeat its "
                         f"command. Received: {model} without checkpoints/")
    network = Finetuned(config.model, task.new_head, dtype="float32")
    SavedWeights(os.path.join(model, "checkpoints")).assign(
        {variable.path: variable.value for variable in network.trainable_variables})
    return config, task, network
