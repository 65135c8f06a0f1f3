"""Many steps in one call of TensorFlow, and their counts summed."""

import numpy as np
import tensorflow as tf

CALL_SECONDS = 8.0  # length of a call: signals wait for its end


class HostLoop:
    """Runs a step repeatedly inside one graph, so that Python does not pace the device.

    Args:
        one: maps a batch of all replicas to {"counts": {name: float32}, "ok": bool,
            "gradient_norm": float32}.
    """

    def __init__(self, one):
        self._one = tf.function(one)
        self._many = tf.function(self._loop)

    def __call__(self, iterator, number: int) -> dict:
        """Runs `number` steps on the iterator's batches; fewer when one is not ok.

        Returns:
            As `one`: counts summed over the steps, the others of the last step.
        """
        return self._many(iterator, tf.constant(number, tf.int32))

    def _loop(self, iterator, number):
        # This traces the step; the loop below reuses the trace.
        outputs = self._one.get_concrete_function(iterator.element_spec).structured_outputs
        counts = {name: tf.zeros(spec.shape) for name, spec in outputs["counts"].items()}
        ok, norm, done = True, 0.0, 0
        while ok and done < number:
            outputs = self._one(next(iterator))
            counts = {name: counts[name] + value for name, value in outputs["counts"].items()}
            ok, norm, done = outputs["ok"], outputs["gradient_norm"], done + 1
        return {"counts": counts, "ok": ok, "gradient_norm": norm}


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
