"""Random numbers as a pure function of a seed, the step and the place where they are drawn.

Nothing here keeps state: a run that resumes, or that is cut over more devices, draws the same
numbers again. `keras.random` accepts a `SeedGenerator`; `FixedKey` is one without a variable.
"""

import zlib

import keras
from keras import ops


class FixedKey(keras.random.SeedGenerator):
    """A seed for one call of a `keras.random` function: two numbers, given, not drawn."""

    def __init__(self, key):
        self._key = key  # the parent's constructor would create a variable

    def next(self, ordered=True):
        del ordered
        return self._key


def key(seed: int, name: str, step, offset=0) -> FixedKey:
    """The key of one draw.

    Args:
        seed: the experiment's seed.
        name: what is drawn; other names give independent numbers.
        step: int32 scalar, tensor or Python int; other steps give independent numbers.
        offset: int32 scalar that tells apart devices and micro-batches of the same step.
    """
    base = zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF
    words = ops.stack([ops.bitwise_xor(ops.cast(base, "int32"), ops.cast(offset, "int32")),
                       ops.cast(step, "int32")])
    # TensorFlow's generators take int32 seeds, JAX's keys are uint32.
    return FixedKey(words if keras.backend.backend() == "tensorflow" else
                    ops.cast(words, "uint32"))


class DropoutRandom:
    """Hands every dropout of one forward pass its own key, by the order of the calls.

    A model call receives one (or None: no dropout) and passes it down. The numbers are a
    function of (seed, step, offset, call number).
    """

    def __init__(self, seed: int, step, offset=0):
        self._seed, self._step, self._offset = seed, step, offset
        self._calls = 0

    def dropout(self, inputs, rate: float):
        """Inverted dropout of a float tensor of any shape; rate 0 adds no operation."""
        if not rate:
            return inputs
        self._calls += 1
        this = key(self._seed, f"dropout/{self._calls}", self._step, self._offset)
        noise = keras.random.uniform(ops.shape(inputs), dtype="float32", seed=this)
        keep = ops.cast(noise >= rate, inputs.dtype)
        return inputs * (keep * ops.cast(1.0 / (1.0 - rate), inputs.dtype))


class BatchRandom:
    """Noise for rows of a global batch: row i gets the same numbers whoever computes it.

    Every device draws the noise of the whole global batch and takes its own rows, so draws do
    not depend on how many devices or micro-batches share the batch.
    """

    def __init__(self, seed: int, step, global_rows: int, first_row=0):
        self._seed, self._step = seed, step
        self._global_rows, self._first_row = global_rows, first_row

    def uniform(self, name: str, rows: int, shape: tuple[int, ...]):
        """Uniform float32 noise in (0, 1), shape [rows, *shape], for `rows` from the first row."""
        noise = keras.random.uniform((self._global_rows, *shape), dtype="float32",
                                     seed=key(self._seed, name, self._step))
        # The generators give multiples of 2^-23 or 2^-24 from zero on: half a grain off the ends.
        noise = ops.clip(noise, 2.0 ** -25, 1.0 - 2.0 ** -24)
        if rows == self._global_rows:
            return noise
        start = (self._first_row,) + (0,) * len(shape)
        return ops.slice(noise, start, (rows, *shape))

    def gumbel(self, name: str, rows: int, shape: tuple[int, ...]):
        """Gumbel(0, 1) noise, float32 [rows, *shape]."""
        return -ops.log(-ops.log(self.uniform(name, rows, shape)))
