"""Floating-point operations of a training step, and what the device could do."""

import time

import tensorflow as tf

from electra_tf.config import Config, ModelConfig
from electra_tf.objectives.masking import max_masked


def training_flops_per_token(config: Config, seq_length: int) -> float:
    """Matrix-product operations per token of forward and backward pass (3 x forward).

    Counts multiply and add as two, attention scores and context, the vocabulary projection at
    masked positions only, and neither embeddings look-ups nor element-wise work.
    """
    masked_share = max_masked(seq_length, config.objective.mask_fraction) / seq_length
    model = config.model
    head = model.embedding_size * (model.hidden_size + model.vocab_size)
    if config.objective.name == "mlm":
        return 6.0 * (_encoder(model, seq_length) + masked_share * head)
    generator = config.generator_model()
    size = generator.hidden_size if model.sharing == "none" else model.embedding_size
    head = size * (generator.hidden_size + model.vocab_size)
    return 6.0 * (_encoder(model, seq_length) + _encoder(generator, seq_length)
                  + masked_share * head + model.hidden_size * (model.hidden_size + 1))


def _encoder(model: ModelConfig, seq_length: int) -> float:
    """Multiply-adds per token of one forward pass."""
    hidden = model.hidden_size
    layer = 4 * hidden * hidden + 2 * hidden * model.intermediate_size + 2 * seq_length * hidden
    project = model.embedding_size * hidden if model.embedding_size != hidden else 0
    return model.num_layers * layer + project


def matmul_peak(precision: str, seconds: float = 0.3) -> float:
    """Best rate of a large matrix product on the default device, operations per second.

    Args:
        precision: "float32", or a mixed policy whose compute dtype is then used.
        seconds: how long to try.
    """
    dtype = tf.as_dtype(precision.removeprefix("mixed_"))
    size = 8192 if tf.config.list_logical_devices("GPU") else 1536
    left = tf.cast(tf.random.stateless_normal((size, size), seed=(0, 1)), dtype)
    repeats = 8

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
