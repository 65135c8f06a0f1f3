"""The device's matrix-product peak, measured: the yardstick of every speed figure here."""

import time
from collections.abc import Callable

import keras
from keras import ops


def matmul_peak(
    precision: str,
    compiled: Callable,
    on_gpu: bool = False,
    seconds: float = 0.3,
    size: int | None = None,
) -> float:
    """Best rate of a large matrix product on the default device, operations per second.

    Args:
        precision: "float32", or a mixed policy whose compute dtype is then used.
        compiled: what the backend compiles functions with, `tf.function` or `jax.jit`.
        on_gpu: whether the device is a GPU, which needs larger matrices.
        seconds: how long to try.
        size: of the matrices; None: enough for the device's best.
    """
    size, repeats = size or (8192 if on_gpu else 1536), 4
    left = ops.cast(
        keras.random.normal((size, size), dtype="float32", seed=0), precision.removeprefix("mixed_")
    )

    @compiled
    def multiply(left):
        product = left
        for _ in range(repeats):
            product = ops.matmul(left, product) * (1.0 / size)
        return product

    @compiled
    def largest(product):  # a program of its own: fused with a product, that one would be slow
        return ops.cast(ops.max(product), "float32")

    ops.convert_to_numpy(largest(multiply(left)))
    best, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end or not best:
        start = time.perf_counter()
        ops.convert_to_numpy(largest(multiply(left)))
        best = max(best, repeats * 2.0 * size**3 / (time.perf_counter() - start))
    return best


def quick_rate(precision: str, compiled: Callable, on_gpu: bool = False) -> float:
    """As `matmul_peak`, in a fraction of a second: good enough to compare two precisions."""
    return matmul_peak(precision, compiled, on_gpu, seconds=0.2, size=4096 if on_gpu else 512)
