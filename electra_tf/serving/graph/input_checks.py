"""Whether the inputs of a call fit each other, looked at in the graph, before anything is computed.

Ops broadcast and gather: of two texts and one second text they would make two answers, of which one
is wrong, and of two rows of ids and one of a mask one answer. A server feeds any shape, whatever
the signature says.
"""

import tensorflow as tf


def fitting(*, rank: int, longest: int | None = None, **inputs: tf.Tensor) -> list[tf.Tensor]:
    """The inputs of a signature, once their shapes are seen to fit: else an error of the call.

    Only shapes are looked at, which costs microseconds.

    Args:
        rank: of all of them.
        longest: elements of the last axis; None: any number.
        **inputs: tensors that must have the same shape, by the names that clients know.

    Returns:
        The same tensors, in order; in the graph they come after the check.

    Raises:
        tf.errors.InvalidArgumentError: when called; it says the rule, by the names of the inputs,
            and the shapes received.
    """
    # raw_ops: others take the shapes that the signature says for those that come.
    shapes = [tf.raw_ops.Shape(input=value) for value in inputs.values()]
    ranks = tf.stack([tf.raw_ops.Size(input=shape) for shape in shapes])
    axes = tf.stack([tf.concat([shape, [-1] * rank], 0)[:rank] for shape in shapes])
    fits = tf.reduce_all(ranks == rank) & tf.reduce_all(axes == axes[0])
    rule = f"{', '.join(inputs)} must have rank {rank}" + " and the same shape" * (len(inputs) > 1)
    if longest is not None:
        fits &= axes[0, -1] <= longest
        rule += f", with rows of at most {longest}"
    check = tf.Assert(fits, [f"{rule}. Received the shapes", *shapes], summarize=8)
    with tf.control_dependencies([check]):
        return [tf.identity(value) for value in inputs.values()]
