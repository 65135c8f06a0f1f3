"""Many steps in one call of TensorFlow, and their counts summed."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

CALL_SECONDS = 8.0  # length of a call: signals wait for its end


class HostLoop:
    """Runs a step repeatedly inside one graph, so that Python does not pace the device.

    Args:
        step: maps a batch of all replicas to (counts, report): float32 tensors by name, to be
            summed over the steps, and scalars by name, of which the last step's are returned. Its
            Python is taken as it is: no `if` or `for` of a tensor.
        goes_on: maps a step's report to a bool scalar, False to end the call with that step;
            without it all steps run.
    """

    def __init__(self, step: Callable, goes_on: Callable | None = None):
        # To rewrite a step for AutoGraph takes seconds, and only the loop below needs it.
        self._step = tf.function(tf.autograph.experimental.do_not_convert(step))
        self._goes_on = goes_on
        self._steps = tf.function(self._loop)

    def __call__(self, iterator, number: int) -> tuple[dict, dict]:
        """Runs `number` steps on the iterator's batches, or fewer if one is not to go on.

        Returns:
            (counts summed over the steps, report of the last step).
        """
        return self._steps(iterator, tf.constant(number, tf.int32))

    def _loop(self, iterator, number):
        # This traces the step; the loop below reuses the trace.
        outputs = self._step.get_concrete_function(iterator.element_spec).structured_outputs
        counts, report = tf.nest.map_structure(
            lambda spec: tf.zeros(spec.shape, spec.dtype), outputs
        )
        going, done = True, 0
        while going and done < number:
            new_counts, report = self._step(next(iterator))
            counts = {name: counts[name] + value for name, value in new_counts.items()}
            going = True if self._goes_on is None else self._goes_on(report)
            done += 1
        return counts, report


class Sums:
    """Counts summed in float64 over calls of a HostLoop."""

    def __init__(self):
        self._values = {}

    def add(self, counts: dict) -> None:
        """Adds float32 tensors by name."""
        for name, value in counts.items():
            self._values[name] = self._values.get(name, 0.0) + value.numpy().astype(np.float64)

    def take(self) -> dict:
        """Returns the sums, float64 arrays by name, and starts again from nothing."""
        values, self._values = self._values, {}
        return values
