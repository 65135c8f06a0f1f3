"""What train.py and measure.py share: start without TensorFlow, the device, config and flags."""

import importlib.abc
import json
import math
import os
import sys
import time

ROOT = os.getcwd()  # of the checkout
PROCESS_START = time.monotonic()


class _NoTensorFlow(importlib.abc.MetaPathFinder):
    """Makes `import tensorflow` fail, as it does where there is none."""

    def find_spec(self, name, path=None, target=None):
        del path, target
        if name.split(".")[0] in ("tensorflow", "tensorflow_text"):
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)
        return None


def start() -> None:
    """Call before anything imports keras, jax or electra_tf."""
    sys.meta_path.insert(0, _NoTensorFlow())
    sys.path.insert(0, ROOT)
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A program that measure.py has compiled is not compiled again by train.py.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "/tmp/jax_cache")
    # Half the work for dropout's random numbers; they need not be the same on several devices.
    os.environ.setdefault("JAX_THREEFRY_PARTITIONABLE", "false")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "2")


def kit_file(name: str) -> str:
    """Path of a file that prepare.sh has made."""
    return os.path.join(ROOT, os.environ.get("DEVICE_KIT") or ".gpu", name)


def out() -> str:
    """The folder for everything that is to be kept."""
    folder = os.environ.get("OUT") or os.path.join(ROOT, "runs", "gpu", "out")
    os.makedirs(folder, exist_ok=True)
    return folder


def seconds_since_start() -> float:
    """Of this process; 1 s stands for the interpreter's own start."""
    return time.monotonic() - PROCESS_START + 1.0


def seconds_left() -> float:
    """Until the end that measure.py has set for its jobs."""
    return float(os.environ["MEASURE_END"]) - time.time()


def write_json(path: str, value) -> None:
    """Writes a file, whole or not at all."""
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(without_nan(value), file, indent=1)
    os.replace(path + ".tmp", path)


def is_out_of_memory(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}".lower()
    return any(
        word in text
        for word in (
            "resource_exhausted",
            "out of memory",
            "outofmemory",
            "failed to allocate",
            "oom",
        )
    )


def versions() -> dict:
    """Of everything that matters, and the device; ends the process if that is not a GPU."""
    import jax
    import keras
    import numpy

    device = jax.devices()[0]
    if device.platform != "gpu" and os.environ.get("JAX_PLATFORMS") != "cpu":
        print(
            f"error: JAX must see a GPU (or JAX_PLATFORMS=cpu be set). Received: {jax.devices()}",
            flush=True,
        )
        os._exit(3)
    return {
        "python": sys.version.split()[0],
        "jax": jax.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
        "platform": device.platform,
        "device": device.device_kind,
    }


def matmul_peak(dtype: str = "bfloat16") -> float:
    """Best rate of a large matrix product on this device, operations per second."""
    import jax
    import jax.numpy as jnp

    size, repeats = (8192, 8) if jax.default_backend() == "gpu" else (1024, 2)
    left = jax.random.normal(jax.random.key(0), (size, size), "float32").astype(dtype)

    @jax.jit
    def multiply(left):
        product = left
        for _ in range(repeats):
            product = left @ product * jnp.asarray(size**-0.5, dtype)
        return product.max()

    multiply(left).block_until_ready()
    best = 0.0
    for _ in range(5):
        begin = time.perf_counter()
        multiply(left).block_until_ready()
        best = max(best, repeats * 2.0 * size**3 / (time.perf_counter() - begin))
    return best


def peak_memory() -> int | None:
    """Bytes that JAX has had in use on the device at most; None where it does not tell."""
    import jax

    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def brief(metrics: dict) -> str:
    """The metrics of a line on the screen."""
    names = ("masked_lm_loss", "masked_lm_accuracy", "disc_loss", "disc_auc", "loss")
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in names if name in metrics)


def without_nan(value):
    """None in place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
