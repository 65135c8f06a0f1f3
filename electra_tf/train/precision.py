"""Which precisions a device computes itself; what `config.runtime.precision=auto` stands for."""

import dataclasses
from collections.abc import Callable

from absl import logging

AUTO = "auto"
# What `auto` may stand for; of several workers all take the first of theirs in this order.
CHOICES = ("float32", "mixed_float16", "mixed_bfloat16")
# How much faster than float32's a CPU's matrix products in bfloat16 must be. A margin that nobody
# has tuned: the rest of a step gains nothing, and pays for the casts.
_QUICKER = 1.25
_SLOWER = 0.9  # of float32's rate; what lies between is noise of the trial


@dataclasses.dataclass(frozen=True)
class Device:
    """What decides which precisions a device computes itself.

    Attributes:
        kind: "CPU", "GPU" or "TPU".
        capability: CUDA's compute capability, of several GPUs the least; (0, 0): unknown.
    """

    kind: str
    capability: tuple[int, int] = (0, 0)


def native(device: Device) -> tuple[str, ...]:
    """The mixed precisions whose matrix products the device computes itself, the best one first.

    A CPU has none: some have instructions for bfloat16 and are still slower at it than at float32,
    so `resolve` and `warn_if_slower` measure.
    """
    if device.kind == "TPU":
        return ("mixed_bfloat16",)
    if device.kind == "GPU":
        if device.capability >= (8, 0):
            return ("mixed_bfloat16", "mixed_float16")
        return ("mixed_float16",) if device.capability >= (7, 0) else ()
    return ()


def resolve(precision: str, device: Device, rate: Callable[[str], float]) -> str:
    """Keras's dtype policy for a value of config.runtime.precision.

    Args:
        precision: that value.
        device: where the models compute.
        rate: measures matrix products in a precision, operations per second. It is asked only for
            `auto` on a CPU.
    """
    if precision != AUTO:
        return precision
    if device.kind == "CPU":
        is_quicker = rate("mixed_bfloat16") >= _QUICKER * rate("float32")
        return "mixed_bfloat16" if is_quicker else "float32"
    return (*native(device), "float32")[0]


def warn_if_slower(precision: str, device: Device, rate: Callable[[str], float]) -> None:
    """Logs a warning where a mixed precision is slower than float32.

    Args:
        precision: a value of config.runtime.precision; `auto` is never slower.
        device: where the models compute.
        rate: as in `resolve`. It is asked only for mixed precisions that `native` does not name.
    """
    known = ("float32", AUTO, *native(device))
    if device.kind == "TPU" or precision in known:
        return
    ratio = rate(precision) / rate("float32")
    if ratio < _SLOWER:
        logging.warning(
            "config.runtime.precision=%s is slow on this %s: its matrix products run at %.2f of "
            "float32's rate; float32 is quicker",
            precision,
            device.kind,
            ratio,
        )
