"""Which precisions a device computes itself; what `config.runtime.precision=auto` stands for."""

import dataclasses
import pathlib
from collections.abc import Callable, Collection

from absl import logging

AUTO = "auto"
# What `auto` may stand for; of several workers all take the first of theirs in this order.
CHOICES = ("float32", "mixed_float16", "mixed_bfloat16")
_SLOWER = 0.9  # of float32's rate; what lies between is noise of the trial
_BFLOAT16_FEATURES = frozenset(("avx512_bf16", "amx_bf16"))


@dataclasses.dataclass(frozen=True)
class Device:
    """What decides which precisions a device computes itself.

    Attributes:
        kind: "CPU", "GPU" or "TPU".
        capability: CUDA's compute capability, of several GPUs the least; (0, 0): unknown.
        features: of a CPU, as /proc/cpuinfo names them; those that its matrix products use.
    """

    kind: str
    capability: tuple[int, int] = (0, 0)
    features: Collection[str] = ()


def native(device: Device) -> tuple[str, ...]:
    """The mixed precisions whose matrix products the device computes itself, the best one first."""
    if device.kind == "TPU":
        return ("mixed_bfloat16",)
    if device.kind == "GPU":
        if device.capability >= (8, 0):
            return ("mixed_bfloat16", "mixed_float16")
        return ("mixed_float16",) if device.capability >= (7, 0) else ()
    return ("mixed_bfloat16",) if _BFLOAT16_FEATURES.intersection(device.features) else ()


def resolve(precision: str, device: Device) -> str:
    """Keras's dtype policy for a value of config.runtime.precision."""
    return precision if precision != AUTO else (*native(device), "float32")[0]


def warn_if_emulated(precision: str, device: Device, rate: Callable[[str], float]) -> None:
    """Logs a warning where a mixed precision is slower than float32, because it is emulated.

    Args:
        precision: what the models compute in.
        device: where.
        rate: measures matrix products in a precision, operations per second. It is asked only for
            a mixed precision that a CPU or a GPU does not compute itself.
    """
    if precision == "float32" or device.kind == "TPU" or precision in native(device):
        return
    ratio = rate(precision) / rate("float32")
    if ratio < _SLOWER:
        logging.warning(
            "config.runtime.precision=%s is emulated on this %s: its matrix products run at %.2f "
            "of float32's rate; float32 is quicker",
            precision,
            device.kind,
            ratio,
        )


def cpu_features(path: str = "/proc/cpuinfo") -> frozenset[str]:
    """What the processor of this machine can do, by Linux's names; nothing where Linux is not."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.partition(":")[0].strip() == "flags")
    return frozenset(next(flags, "").split())
