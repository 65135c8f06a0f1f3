"""The device's matrix-product peak, measured: the yardstick of every speed figure here."""

import time

import tensorflow as tf


def matmul_peak(precision: str, seconds: float = 0.3) -> float:
    """Best rate of a large matrix product on the default device, operations per second.

    Args:
        precision: "float32", or a mixed policy whose compute dtype is then used.
        seconds: how long to try.
    """
    dtype = tf.as_dtype(precision.removeprefix("mixed_"))
    size = 8192 if tf.config.list_logical_devices("GPU") else 1536
    left = tf.cast(tf.random.stateless_normal((size, size), seed=(0, 1)), dtype)
    repeats = 4

    @tf.function
    def multiply(left):
        product = left
        for _ in range(repeats):
            product = tf.matmul(left, product) * tf.cast(1.0 / size, dtype)
        return tf.reduce_max(product)

    multiply(left).numpy()
    best, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end or not best:
        start = time.perf_counter()
        multiply(left).numpy()
        best = max(best, repeats * 2.0 * size ** 3 / (time.perf_counter() - start))
    return best
