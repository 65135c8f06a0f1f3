"""Times the training step, and its parts by leaving them out one at a time."""

import copy
import resource
import time
from collections.abc import Iterator

import tensorflow as tf

from electra_tf.config import Config
from electra_tf.objectives import build_objective
from electra_tf.objectives.objective import Objective
from electra_tf.speed import synthetic
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.train import strategy
from electra_tf.train.host_loop import HostLoop
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.peak import matmul_peak
from electra_tf.train.state import new_state
from electra_tf.train.step import TrainStep

_WITHOUT_UPDATE = "without update"
_WITHOUT_REDUCE = "without update and all-reduce"


def measure(config: Config, seq_length: int, seconds: float) -> dict:
    """Measures on the devices of config.runtime; with data, the input, too.

    Args:
        config: the experiment.
        seq_length: tokens per synthetic example.
        seconds: how long each variant of the step is timed.

    Returns:
        `device`, `replicas`, `precision`, `xla`, `step_seconds` by part (`input` None without
        data, `all_reduce` 0 with one replica), `loss` of the first step,
        `peak_flops_per_second` of all replicas, `peak_memory_bytes`.
    """
    runtime = strategy.start(config.runtime, config.train.seed, num_steps=config.train.num_steps)
    objective = build_objective(config, synthetic.vocabulary(config))
    loops, batches = step_loops(objective, config, runtime, synthetic.batch(config, seq_length))
    first = {name: loop(batches, 1) for name, loop in loops.items()}  # traces
    counts = {name: value.numpy() for name, value in first["whole"][0].items()}
    loss = objective.metrics(counts)["loss"]
    # In turns, so that a change of the machine's speed meets all of them.
    took, peak = dict.fromkeys(loops, float("inf")), 0.0
    end = time.monotonic() + seconds * len(loops)
    while time.monotonic() < end:
        seen = matmul_peak(runtime.precision, tf.function, runtime.device == "GPU")
        peak = max(peak, seen)
        for name, loop in loops.items():
            start = time.perf_counter()
            loop(batches, 2)[1]["ok"].numpy()
            took[name] = min(took[name], (time.perf_counter() - start) / 2)
    forward_backward = took[list(loops)[-1]]
    return {
        "backend": "tensorflow",
        "device": runtime.device,
        "replicas": runtime.num_replicas,
        "precision": runtime.precision,
        "xla": runtime.compiled,
        "step_seconds": {
            "input": _time_input(config, seconds) if all(config.data.sources()) else None,
            "forward_backward": forward_backward,
            "all_reduce": took[_WITHOUT_UPDATE] - forward_backward,
            "update": took["whole"] - took[_WITHOUT_UPDATE],
            "total": took["whole"],
        },
        "loss": loss,
        "peak_flops_per_second": peak * runtime.num_replicas,
        "peak_memory_bytes": _peak_memory(runtime),
    }


def cpu_compiler():
    """What compiles functions for the processors; None where there is a GPU."""
    return None if tf.config.list_physical_devices("GPU") else tf.function


def step_loops(
    objective: Objective, config: Config, runtime: strategy.Runtime, examples: dict
) -> tuple[dict[str, HostLoop], Iterator]:
    """What runs training steps on examples in memory.

    Args:
        objective: of the config.
        config: the experiment.
        runtime: what `strategy.start` has given.
        examples: {feature: int32 [N * batch_size, L]}, of one or more batches; they come again.

    Returns:
        ({variant: HostLoop}, batches): the first variant is the whole step, each of the others
        leaves out a part; they share model and state.
    """
    optimizers = build_network_optimizers(
        objective.optimizers(), config.train.num_steps, objective.num_layers()
    )
    model, _, state = new_state(objective, optimizers, config.train, runtime)
    variants = {"whole": TrainStep, _WITHOUT_UPDATE: _StepWithoutUpdate}
    if runtime.num_replicas > 1:
        variants[_WITHOUT_REDUCE] = _StepWithoutReduce
    loops = {
        name: HostLoop(step(objective, model, optimizers, state, runtime, config.train))
        for name, step in variants.items()
    }
    rows = config.train.batch_size // runtime.num_replicas
    batches = {name: value.reshape(-1, rows, value.shape[-1]) for name, value in examples.items()}
    dataset = tf.data.Dataset.from_tensor_slices(
        batches  # pyright: ignore[reportArgumentType] structures are welcome, too
    ).repeat()
    return loops, iter(runtime.strategy.distribute_datasets_from_function(lambda context: dataset))


class _StepWithoutUpdate(TrainStep):
    def _update(self, gradients, loss, step, local):
        # One number of each gradient, so that none is optimised away.
        return True, tf.add_n([tf.reshape(gradient, [-1])[0] for gradient in gradients]) + loss


class _StepWithoutReduce(_StepWithoutUpdate):
    def _sum(self, values, local):
        return values


def _time_input(config, seconds):
    """Seconds per global batch of the input pipeline alone."""
    config = copy.deepcopy(config)
    config.train.batch_warmup = ""
    task = PretrainingTask(config)
    size = config.train.batch_size
    batches = iter(task.train_batches(0, (0, size), size))
    next(batches)
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        number += 1
    return (time.perf_counter() - start) / number


def _peak_memory(runtime):
    """Bytes: of the first GPU, or of this process on the CPU."""
    if runtime.device == "GPU":
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
