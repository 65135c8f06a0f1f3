"""The same models, objective and optimizer in one JAX program, on one device.

A second opinion on the mathematics, and the speed of a GPU where only JAX is installed.
Needs KERAS_BACKEND=jax; imports no TensorFlow.
"""

import re
import time

import keras

from electra_tf import extras
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import build_objective
from electra_tf.objectives.phases import Phase
from electra_tf.speed import synthetic
from electra_tf.train import precision
from electra_tf.train.optimizers import build_network_optimizers, global_norm
from electra_tf.train.peak import matmul_peak, quick_rate

with extras.needed("jax"):
    import jax  # pyright: ignore[reportMissingImports] another environment
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports] another environment


def measure(config: Config, seq_length: int, seconds: float) -> dict:
    """As `tensorflow_step.measure`, on JAX's default device."""
    on_gpu = device().kind == "GPU"
    precision.warn_if_slower(config.runtime.precision, device(), _rate)
    resolve_precision(config)
    objective = build_objective(config, synthetic.vocabulary(config))
    if objective.phases() != (Phase(),):
        raise UserError(
            "On JAX an objective that trains all of its networks in one phase can be measured. "
            f"Received: config.objective.name={config.objective.name} with "
            f"config.objective.generator={config.objective.generator}"
        )
    model = objective.new_model(config.train.seed, config.runtime.precision)
    variables = model.trainable_variables
    optimizers = build_network_optimizers(
        objective.optimizers(), config.train.num_steps, objective.num_layers()
    )
    batch = {
        name: jnp.asarray(value) for name, value in synthetic.batch(config, seq_length).items()
    }
    gradient = loss_and_gradients(objective, model, config)

    def listed(weights):
        return [weights[variable.path] for variable in variables]  # jit sorts a dict by its keys

    def step(weights, slots, number):
        (loss, _), gradients = gradient(listed(weights), batch, number)
        norm = global_norm(gradients)
        gradients = {
            variable.path: value for variable, value in zip(variables, gradients, strict=True)
        }
        return *optimizers.apply(weights, gradients, slots, number, norm), loss

    def fresh():
        weights = {variable.path: jnp.array(variable.value) for variable in variables}
        return weights, {
            path: {name: slot.new() for name, slot in optimizers.slots(path, weight.shape).items()}
            for path, weight in weights.items()
        }

    whole = jax.jit(step, donate_argnums=(0, 1))
    only_gradients = jax.jit(lambda weights, number: gradient(listed(weights), batch, number))
    peak = matmul_peak(config.runtime.precision, jax.jit, on_gpu)
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
        took["forward_backward"] = min(took["forward_backward"], (time.perf_counter() - start) / 4)
    peak = max(peak, matmul_peak(config.runtime.precision, jax.jit, on_gpu))
    first = jax.devices()[0]
    memory = first.memory_stats() or {}
    return {
        "backend": "jax",
        "device": first.device_kind,
        "replicas": 1,
        "precision": config.runtime.precision,
        "xla": "on",
        "step_seconds": {
            "input": None,
            "forward_backward": took["forward_backward"],
            "all_reduce": 0.0,
            "update": took["total"] - took["forward_backward"],
            "total": took["total"],
        },
        "loss": float(loss),
        "peak_flops_per_second": peak,
        "peak_memory_bytes": memory.get("peak_bytes_in_use"),
    }


def device() -> precision.Device:
    """JAX's default device."""
    capability = str(getattr(jax.devices()[0], "compute_capability", ""))
    found = re.fullmatch(r"(\d+)\.(\d+)", capability)
    return precision.Device(
        jax.default_backend().upper(), (int(found[1]), int(found[2])) if found else (0, 0)
    )


def resolve_precision(config: Config) -> None:
    """Has config.runtime.precision=auto become what it stands for on JAX's default device."""
    config.runtime.precision = precision.resolve(config.runtime.precision, device(), _rate)


def _rate(dtype):
    """Operations per second of matrix products in a precision."""
    return quick_rate(dtype, jax.jit, on_gpu=device().kind == "GPU")


def cpu_compiler():
    """What compiles functions for the processors; None where there is an accelerator."""
    return jax.jit if jax.default_backend() == "cpu" else None


def loss_and_gradients(objective, model, config: Config, with_dropout: bool = True):
    """Function (weights, batch, step) to ((loss, counts), gradients), all JAX arrays.

    Args:
        objective: an `Objective`.
        model: its model; only the structure is used, weights are given.
        config: seed and batch size.
        with_dropout: False leaves dropout out.
    """
    variables, seed = model.trainable_variables, config.train.seed

    def loss_of(weights, batch, step):
        draws = Draws(seed, step, config.train.batch_size)
        dropout = Dropout(seed, step) if with_dropout else None
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            prepared = objective.prepare(batch, draws)
            total = objective.loss_weights(prepared)
            sums, counts = objective.loss_sums(model, prepared, draws, dropout)
        factors = objective.factors(step)
        return sum(factors[term] * sums[term] / total[term] for term in sums), counts

    return jax.value_and_grad(loss_of, has_aux=True)
