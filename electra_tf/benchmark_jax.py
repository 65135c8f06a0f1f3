"""The same models, objective and optimizer in one JAX program, on one device.

A second opinion on the mathematics, and the speed of a GPU where only JAX is installed.
Needs KERAS_BACKEND=jax; imports no TensorFlow.
"""

import time

import jax
import jax.numpy as jnp
import keras

from electra_tf import synthetic
from electra_tf.config import Config
from electra_tf.models.randomness import BatchRandom, DropoutRandom
from electra_tf.objectives import build_objective
from electra_tf.train import optimizer as optimization


def measure(config: Config, seq_length: int, seconds: float) -> dict:
    """As `benchmark_tensorflow.measure`, on JAX's default device."""
    objective = build_objective(config, synthetic.vocabulary(config))
    model = objective.new_model(config.train.seed, config.runtime.precision)
    variables = model.trainable_variables
    optimizer = optimization.build_optimizer(config.optimizer, config.train.num_steps,
                                             config.num_layers())
    batch = {name: jnp.asarray(value)
             for name, value in synthetic.batch(config, seq_length).items()}
    gradient = loss_and_gradients(objective, model, config)

    def step(weights, slots, number):
        (loss, _), gradients = gradient(weights, batch, number)
        norm = optimization.global_norm(gradients)
        gradients = optimization.clip_by_global_norm(gradients, config.optimizer.clip_norm, norm)
        rate = optimizer.learning_rate(number + 1)
        updated = [optimizer.update(variable.path, weight, value, slot, number, rate)
                   for variable, weight, value, slot
                   in zip(variables, weights, gradients, slots, strict=True)]
        return [new for new, _ in updated], [new for _, new in updated], loss

    def fresh():
        weights = [jnp.array(variable.value) for variable in variables]
        return weights, [tuple(jnp.zeros_like(weight) for _ in optimizer.slots)
                         for weight in weights]

    whole = jax.jit(step, donate_argnums=(0, 1))
    only_gradients = jax.jit(lambda weights, number: gradient(weights, batch, number))
    peak = _matmul_peak(config.runtime.precision)
    weights, slots = fresh()
    weights, slots, loss = whole(weights, slots, 0)
    took = {"total": float("inf"), "forward_backward": float("inf")}
    end, number = time.monotonic() + seconds, 1
    while time.monotonic() < end:
        start = time.perf_counter()
        for _ in range(4):
            weights, slots, last = whole(weights, slots, number)
            number += 1
        jax.block_until_ready(last)
        took["total"] = min(took["total"], (time.perf_counter() - start) / 4)
    jax.block_until_ready(only_gradients(weights, 0))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        jax.block_until_ready([only_gradients(weights, number + i) for i in range(4)])
        took["forward_backward"] = min(took["forward_backward"],
                                       (time.perf_counter() - start) / 4)
    peak = max(peak, _matmul_peak(config.runtime.precision))
    device = jax.devices()[0]
    memory = device.memory_stats() or {}
    return {
        "backend": "jax", "device": device.device_kind, "replicas": 1,
        "precision": config.runtime.precision, "xla": True,
        "step_seconds": {
            "input": None, "forward_backward": took["forward_backward"], "all_reduce": 0.0,
            "update": took["total"] - took["forward_backward"], "total": took["total"]},
        "loss": float(loss),
        "peak_flops_per_second": peak,
        "peak_memory_bytes": memory.get("peak_bytes_in_use")}


def loss_and_gradients(objective, model, config: Config, dropout: bool = True):
    """Function (weights, batch, step) to ((loss, counts), gradients), all JAX arrays.

    Args:
        objective: an `Objective`.
        model: its model; only the structure is used, weights are given.
        config: seed and batch size.
        dropout: False leaves dropout out.
    """
    variables, seed = model.trainable_variables, config.train.seed

    def loss_of(weights, batch, step):
        random = BatchRandom(seed, step, config.train.batch_size)
        rng = DropoutRandom(seed, step) if dropout else None
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            prepared = objective.prepare(batch, random)
            total = objective.weights(prepared)
            sums, counts = objective.loss_sums(model, prepared, random, rng)
        return sum(objective.terms[term] * sums[term] / total[term] for term in sums), counts

    return jax.value_and_grad(loss_of, has_aux=True)


def _matmul_peak(precision: str) -> float:
    """Best rate of a large matrix product, operations per second."""
    dtype = precision.removeprefix("mixed_")
    size, repeats = (8192 if jax.default_backend() == "gpu" else 1536), 8
    left = jax.random.normal(jax.random.key(0), (size, size), dtype)

    @jax.jit
    def multiply(left):
        product = left
        for _ in range(repeats):
            product = left @ product * jnp.asarray(1.0 / size, dtype)
        return product.max()

    multiply(left).block_until_ready()
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        multiply(left).block_until_ready()
        best = max(best, repeats * 2.0 * size ** 3 / (time.perf_counter() - start))
    return best
