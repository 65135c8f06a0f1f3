"""Random numbers as a pure function of a seed, the step and the place where they are drawn.

Nothing here keeps state: a run that resumes, or that is cut over more devices, draws the same
numbers again. `keras.random` accepts a `SeedGenerator`; `FixedKey` is one without a variable.
"""

import zlib

import keras
import numpy as np
from keras import ops

from electra_tf.models.blocks import are_compiled, block

AT_ONCE = 64  # keys of dropout that are computed together


class FixedKey(keras.random.SeedGenerator):
    """A seed for one call of a `keras.random` function: two numbers, given, not drawn."""

    def __init__(self, key):
        self._key = key  # the parent's constructor would create a variable

    def next(self, ordered=True):
        del ordered
        return self._key


def key(seed: int, name: str, step) -> FixedKey:
    """The key of one draw.

    Args:
        seed: the experiment's seed.
        name: what is drawn; other names give independent numbers.
        step: int32 scalar, tensor or Python int; other steps give independent numbers.
    """
    base = zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF
    words = ops.stack([ops.cast(base, "int32"), ops.cast(step, "int32")])
    # TensorFlow's generators take int32 seeds, JAX's keys are uint32.
    return FixedKey(words if keras.backend.backend() == "tensorflow" else ops.cast(words, "uint32"))


class Dropout:
    """Hands every dropout of one forward pass its own key, by the order of the calls.

    A model call receives one (or None: no dropout) and passes it down. What is dropped of a row of
    the global batch is a function of (seed, step, call number, row), whoever computes it.

    Args:
        seed: the experiment's; or its `dropout_words`, a tensor, so that a graph traced once serves
            any seed.
        step: int32 scalar, tensor or Python int.
        first_row: int32 scalar, the first row's number in the global batch.
        rows: of this call's batch; tensors to drop of are row after row.
    """

    def __init__(self, seed, step, first_row=0, rows: int = 1):
        self._seed, self._step = seed, step
        self._first_row, self._rows = first_row, rows
        self._calls, self._keys = 0, []

    def __call__(self, inputs, rate: float):
        """Inverted dropout of a float tensor of any shape; rate 0 adds no operation."""
        key = self.key(rate)
        if key is None:
            return inputs
        if not are_compiled():
            return drop_keeping_mask(inputs, key, rate)
        return _differentiable(lambda values: _drop_block(values, key, rate=rate), inputs)

    def key(self, rate: float):
        """The key of the next call, uint32 [4] for `drop`; None if the rate is 0."""
        if not rate:
            return None
        if self._calls == len(self._keys):
            self._keys += self._next_keys()
        self._calls += 1
        return self._keys[self._calls - 1]

    def _next_keys(self):
        """The keys of AT_ONCE more calls: a key alone takes as many operations as all of them."""
        first, last = self._calls, self._calls + AT_ONCE
        if isinstance(self._seed, int):
            words = _uint32([_dropout_word(self._seed, call) for call in range(first, last)])
        else:
            words = ops.cast(self._seed[first:last], "uint32")
        one = _mixed(_mixed(words) + ops.cast(self._step, "uint32"))
        other = _mixed(ops.bitwise_xor(one, _uint32(0x9E3779B9)))
        row = ops.broadcast_to(ops.cast(self._first_row, "uint32"), (AT_ONCE,))
        rows = ops.broadcast_to(_uint32(self._rows), (AT_ONCE,))
        return ops.unstack(ops.stack([one, other, row, rows], axis=1))


def dropout_words(seed: int, calls: int) -> np.ndarray:
    """What `Dropout` makes of a seed for that many calls, int64 [calls]."""
    return np.array([_dropout_word(seed, call) for call in range(calls)], np.int64)


def _dropout_word(seed: int, call: int) -> int:
    """Of a call, counted from 0; its name counts from 1."""
    return zlib.crc32(f"{seed}/dropout/{call + 1}".encode())


def drop(inputs, key, rate: float):
    """Inverted dropout: each element is 0 with probability `rate`, else divided by 1 - rate.

    Which ones is a hash of the element's number in the global batch, so that a compiler computes it
    where it is needed, again in the backward pass, and no mask is ever in memory. Of all 2^32
    numbers a key drops the share `rate` to within 2^-32.

    Args:
        inputs: float tensor of any shape.
        key: uint32 [4] of `Dropout.key`: two words of the hash, first row, rows; None drops none.
        rate: in (0, 1).
    """
    if key is None:
        return inputs
    return _drop_others(inputs, _is_kept(inputs, key, rate), rate)


def drop_numbered(inputs, key, rate: float, numbers, of_row):
    """As `drop`, of some elements of a larger tensor.

    Args:
        numbers: uint32, numbers of the elements in the tensor, whose rows are those of `key`.
        of_row: number of elements of its rows, int32 scalar or Python int.
    """
    return _drop_others(inputs, _are_kept(numbers, key, rate, of_row), rate)


def drop_keeping_mask(inputs, key, rate: float):
    """`drop` in a plain graph, differentiable: there a mask is quicker than its hash twice."""
    if key is None:
        return inputs
    is_kept = _is_kept(inputs, key, rate)
    return _differentiable(lambda values: _drop_others(values, is_kept, rate), inputs)


def _is_kept(inputs, key, rate):
    """What `drop` keeps, bool of the shape of `inputs`."""
    size = ops.size(inputs)
    numbers = ops.reshape(ops.arange(size, dtype="int32"), ops.shape(inputs))
    of_row = ops.floor_divide(size, ops.cast(key[3], "int32"))
    return _are_kept(ops.cast(numbers, "uint32"), key, rate, of_row)


def _are_kept(numbers, key, rate, of_row):
    one, other, first_row, _ = ops.unstack(key, 4)
    numbers = numbers + first_row * ops.cast(of_row, "uint32")
    noise = _mixed(ops.bitwise_xor(numbers, one), other)
    return noise >= _uint32(int(rate * 2.0**32))


def _drop_others(inputs, is_kept, rate):
    kept = inputs * ops.cast(1.0 / (1.0 - rate), inputs.dtype)
    return ops.where(is_kept, kept, ops.zeros_like(kept))


def key_of_rows(key, first, rows: int):
    """The key for `rows` rows alone, from number `first` (int32 scalar) of those of `key` on."""
    if key is None:
        return None
    return ops.stack([key[0], key[1], key[2] + ops.cast(first, "uint32"), _uint32(rows)])


def _differentiable(function, inputs):
    """`function`, whose gradient is itself of the gradient that comes in."""

    @ops.custom_gradient
    def differentiable(inputs):
        def gradient(*args, upstream=None):
            return function(args[0] if upstream is None else upstream)

        return function(inputs), gradient

    return differentiable(inputs)


@block
def _drop_block(inputs, key, *, rate):
    return drop(inputs, key, rate)


def _mixed(numbers, key=None):
    """A hash of uint32 numbers whose every bit depends on all of theirs (and of the key's).

    Multiplications and shifts of C. Wellons' search for such functions (hash-prospector).
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        numbers = ops.bitwise_xor(numbers, ops.right_shift(numbers, _uint32(shift)))
        if key is not None and shift == 15:
            numbers = ops.bitwise_xor(numbers, key)
        numbers = numbers * _uint32(factor)
    return ops.bitwise_xor(numbers, ops.right_shift(numbers, _uint32(16)))


def _uint32(number):
    return ops.convert_to_tensor(np.array(number, np.uint32))


class Draws:
    """Noise for rows of a global batch: row i gets the same numbers whoever computes it.

    Every device draws the noise of the whole global batch and takes its own rows, so draws do
    not depend on how many devices or micro-batches share the batch.
    """

    def __init__(self, seed: int, step, global_rows: int, first_row=0):
        self._seed, self._step = seed, step
        self._global_rows, self._first_row = global_rows, first_row

    @property
    def step(self):
        """The step that is drawn for, int32 scalar or Python int; negative in an evaluation."""
        return self._step

    def uniform(self, name: str, rows: int, shape: tuple[int, ...]):
        """Uniform float32 noise in (0, 1), shape [rows, *shape], for `rows` from the first row."""
        noise = keras.random.uniform(
            (self._global_rows, *shape), dtype="float32", seed=key(self._seed, name, self._step)
        )
        # The generators give multiples of 2^-23 or 2^-24 from zero on: half a grain off the ends.
        noise = ops.clip(noise, 2.0**-25, 1.0 - 2.0**-24)
        if rows == self._global_rows:
            return noise
        start = (self._first_row,) + (0,) * len(shape)
        return ops.slice(noise, start, (rows, *shape))

    def gumbel(self, name: str, rows: int, shape: tuple[int, ...]):
        """Gumbel(0, 1) noise, float32 [rows, *shape]."""
        return -ops.log(-ops.log(self.uniform(name, rows, shape)))
