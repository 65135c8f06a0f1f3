"""Predictions of a fine-tuned model for a file."""

import sys

from tqdm import tqdm

from electra_tf.serving.graph.finetuned import load_network
from electra_tf.tasks.finetuning_loop import predict_outputs


def predict(model: str, source: str, output: str) -> int:
    """Predicts for every example of a file; returns how many there are.

    Args:
        model: workdir of a complete fine-tuning.
        source: a file in the task's layout, with or without labels.
        output: file to write, complete or not at all: {id: text} for questions, JSON lines else.

    Raises:
        ValueError: no fine-tuned model, or the file is not in the task's layout.
    """
    task, network, tokenizer, _ = load_network(model)
    examples = task.read_file(source)
    encoded = task.encode(examples, tokenizer, training=False)
    with tqdm(total=len(encoded.rows), unit=" rows", desc="predicting",
              disable=not sys.stderr.isatty()) as bar:
        outputs = predict_outputs(
            task, network, encoded,
            on_progress=lambda share: bar.update(round(share * bar.total) - bar.n))
    task.write_file(examples, task.predict(examples, encoded, outputs), output)
    return len(examples)
