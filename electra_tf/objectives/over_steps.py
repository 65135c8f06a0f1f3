"""Numbers that change over the steps of a run: `config.objective.…_by_step`."""

from keras import ops

from electra_tf.config.breakpoints import Breakpoints


def value_at(breakpoints: Breakpoints, step):
    """The value at a step, linear between the breakpoints, constant before and after.

    Args:
        breakpoints: at least one.
        step: int32 scalar or Python int; below 0, in an evaluation, the last value holds.

    Returns:
        float32 scalar.
    """
    step = ops.cast(step, "float32")
    (_, value), (_, last) = breakpoints[0], breakpoints[-1]
    for (begin, before), (end, after) in zip(breakpoints, breakpoints[1:], strict=False):
        value = value + (after - before) * ops.clip((step - begin) / (end - begin), 0.0, 1.0)
    return ops.where(step < 0.0, last, value)
