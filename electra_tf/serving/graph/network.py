"""A fine-tuned network in a serving graph, where also an empty batch must have an answer."""

from collections.abc import Callable

import tensorflow as tf

from electra_tf.models.finetuned import Finetuned
from electra_tf.models.layers import for_inference
from electra_tf.serving.graph.inference import hidden_states
from electra_tf.tasks.base import FinetuningTask


def graph_outputs(task: FinetuningTask, model: Finetuned, least_tokens: int = 1) -> Callable:
    """What a graph calls: rows to the task's outputs.

    Rows are padded to `least_tokens`, and no rows to one of padding, for what reads the first
    token, takes the largest of several, or reshapes; outputs of that row are dropped.

    Args:
        task: what the model was trained for.
        model: with the task's head.
        least_tokens: fewer are padded.

    Returns:
        Maps `input_ids`, `input_mask`, `segment_ids`, int32 [B, L] with any B and L, to
        `task.outputs` of them.
    """

    def outputs_of(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows, tokens = tf.unstack(tf.shape(next(iter(batch.values()))))
        after = tf.stack([tf.maximum(1 - rows, 0), tf.maximum(least_tokens - tokens, 0)])
        paddings = tf.stack([tf.zeros_like(after), after], axis=1)
        batch = {name: tf.pad(value, paddings) for name, value in batch.items()}
        with for_inference():
            outputs = task.outputs(model.head, hidden_states(model.encoder, batch), batch)
        return {name: value[:rows] for name, value in outputs.items()}

    return outputs_of
