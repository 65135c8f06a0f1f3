"""A fine-tuned model on disk as a serving graph for its task."""

import os

from electra_tf.errors import UserError
from electra_tf.saved.finetuned import load_network
from electra_tf.saved.weights import SavedWeights
from electra_tf.serving.graph.answerer import Answerer
from electra_tf.serving.graph.sentences import Classifier, MultiLabelClassifier, Scorer
from electra_tf.serving.graph.servable import Servable
from electra_tf.serving.graph.tagger import Tagger
from electra_tf.tasks.base import FinetuningTask

# By `FinetuningTask.servable`.
SERVABLES: dict[str, type[Servable]] = {
    "label": Classifier,
    "labels": MultiLabelClassifier,
    "score": Scorer,
    "tags": Tagger,
    "answer": Answerer,
}


def servable_of(task: FinetuningTask) -> type[Servable]:
    """What serves a task; raises UserError if nothing does."""
    if task.servable not in SERVABLES:
        raise UserError(
            f"What a task serves must be one of {', '.join(SERVABLES)}. "
            f"Received: {task.servable!r} of {task.name}"
        )
    return SERVABLES[task.servable]


def load_finetuned(
    directory: str, max_seq_length: int | None = None, precision: str = "float32"
) -> Servable:
    """The serving graph of a complete fine-tuning, or of a converted fine-tuned model.

    Args:
        directory: config.json, vocab.txt, checkpoints/.
        max_seq_length: tokens of the longest row; None: as in training.
        precision: of PRECISIONS; what the network computes in. Outputs are float32.

    Raises:
        UserError: the directory is incomplete, the length is not one for the model and task, or
            nothing serves such a task.
    """
    task, model, tokenizer, _ = load_network(directory, max_seq_length, precision)
    servable = servable_of(task)(task, model, tokenizer)
    servable.step = SavedWeights(os.path.join(directory, "checkpoints")).step
    return servable
