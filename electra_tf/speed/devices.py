"""What common devices can do, by their makers' data sheets, and what this machine can."""

import dataclasses
import math
import os
import re
import subprocess
from collections.abc import Callable

from electra_tf.train.peak import matmul_peak

BFLOAT16, FLOAT16 = "mixed_bfloat16", "mixed_float16"
# Share of a device's memory that a step can have: the rest is the runtime's and its programs'.
_USABLE = 0.9
_PROCESS = 1 << 30  # bytes of a process with TensorFlow, before any weights


@dataclasses.dataclass(frozen=True)
class DataSheet:
    """What a device can do.

    Attributes:
        name: of the device.
        gib: its memory.
        float32, mixed: operations per second of dense (not sparse) matrix products, float32 as
            TensorFlow multiplies it: TF32 where a GPU has it; TPUs round the factors to bfloat16.
        precision: the mixed precision that it has.
    """

    name: str
    gib: float
    float32: float
    mixed: float
    precision: str = BFLOAT16

    @property
    def usable_bytes(self) -> float:
        """What a training step can have."""
        return _USABLE * self.gib * 2**30


DEVICES = (
    DataSheet("T4", 16, 8.1e12, 65e12, FLOAT16),
    DataSheet("V100 SXM2 16 GB", 16, 15.7e12, 125e12, FLOAT16),
    DataSheet("V100 SXM2 32 GB", 32, 15.7e12, 125e12, FLOAT16),
    DataSheet("L4", 24, 60e12, 121e12),
    DataSheet("RTX 4090", 24, 82.6e12, 165.2e12),
    DataSheet("A100 SXM 40 GB", 40, 156e12, 312e12),
    DataSheet("A100 SXM 80 GB", 80, 156e12, 312e12),
    DataSheet("H100 SXM", 80, 494.7e12, 989.4e12),
    DataSheet("H200 SXM", 141, 494.7e12, 989.4e12),
    DataSheet("TPU v5e chip", 16, 197e12, 197e12),
    DataSheet("TPU v4 chip", 32, 275e12, 275e12),
)


def this_machine(compiled: Callable) -> DataSheet:
    """The processors and the memory of this machine; takes a second or two.

    Args:
        compiled: what the backend compiles functions with, `tf.function` or `jax.jit`.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return DataSheet(
        f"this machine ({len(os.sched_getaffinity(0))} processors)",
        (memory - _PROCESS) / 2**30,
        matmul_peak("float32", compiled),
        matmul_peak(BFLOAT16, compiled),
    )


def of_gpu(name: str, gib: float | None = None) -> DataSheet | None:
    """The data sheet of a GPU of this machine.

    Args:
        name: that its driver gives it, such as "NVIDIA A100-SXM4-80GB".
        gib: its memory; None: what nvidia-smi says.

    Returns:
        Rates are infinite where the GPU is none of `DEVICES`; None where its memory is not known.
    """
    gib = _gpu_gib() if gib is None else gib
    if gib is None:
        return None
    words = set(re.findall(r"[A-Z0-9]+", name.upper()))
    others = words & {"PCIE", "NVL", "LAPTOP"}  # of the same chip, and slower
    found = [
        device
        for device in DEVICES
        if not others and _model(device) in words and "TPU" not in words
    ]
    if not found:
        return DataSheet(name, gib, math.inf, math.inf)
    return dataclasses.replace(min(found, key=lambda device: abs(device.gib - gib)), gib=gib)


def _model(device: DataSheet) -> str:
    """The first word of a name that has a digit, in capitals: T4, 4090, A100."""
    return next(word for word in device.name.upper().split() if re.search(r"\d", word))


def _gpu_gib() -> float | None:
    """Memory of the smallest GPU of this machine."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return min(map(float, answer.stdout.split())) / 1024
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
