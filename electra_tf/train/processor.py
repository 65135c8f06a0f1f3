"""How TensorFlow uses the processor: threads, allocator, oneDNN. Environment variables decide."""

import os

import tensorflow as tf

# The question that TensorFlow asks itself; it has no public name.
from tensorflow.python.util._pywrap_util_port import IsMklEnabled as uses_onednn


def describe() -> str:
    """Such as "2 threads, BFC allocator, oneDNN"."""
    threads = _threads(
        "TF_NUM_INTRAOP_THREADS", tf.config.threading.get_intra_op_parallelism_threads()
    )
    at_once = _threads(
        "TF_NUM_INTEROP_THREADS", tf.config.threading.get_inter_op_parallelism_threads()
    )
    parts = [_plural(threads, "thread")]
    if at_once != threads:
        parts.append(f"{_plural(at_once, 'operation')} at a time")
    return ", ".join([*parts, _allocator(), "oneDNN" if uses_onednn() else "no oneDNN"])


def _threads(variable: str, configured: int) -> int:
    """Threads of a pool: as set in this process, or by the environment, or one per core."""
    given = os.environ.get(variable, "")
    return configured or (int(given) if given.isdigit() else 0) or _cores()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _allocator() -> str:
    if os.environ.get("TF_CPU_ALLOCATOR_USE_BFC", "").lower() in ("1", "true"):
        return "BFC allocator"
    return "oneDNN's allocator" if uses_onednn() else "the system's allocator"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"
