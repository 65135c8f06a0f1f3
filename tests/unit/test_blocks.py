"""Blocks: compiled, as one pass, they compute what they compute operation by operation."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from electra_tf.models import blocks, layers
from electra_tf.models.randomness import Dropout
from electra_tf.objectives import build_objective
from electra_tf.speed.synthetic import SyntheticVocabulary
from electra_tf.train import strategy
from electra_tf.train.host_loop import HostLoop
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.state import TrainState
from electra_tf.train.step import TrainStep
from tests.unit.test_models import tiny_config

_compile = functools.partial(tf.function, jit_compile=True, autograph=False)


def _with_gradients(function, *inputs):
    """Result and gradients of a function, traced."""

    @tf.function(autograph=False)
    def call(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = function(*inputs)
            numbers = tf.reshape(tf.range(tf.size(output), dtype=tf.float32), tf.shape(output))
            loss = tf.reduce_sum(output * tf.sin(numbers))
        return output, *tape.gradient(loss, inputs)

    return [value.numpy() for value in call(*inputs)]


def _both(function, *inputs):
    plain = _with_gradients(function, *inputs)
    with blocks.compiled_by(_compile):
        compiled = _with_gradients(function, *inputs)
    return zip(plain, compiled, strict=True)


def _rows(*shape):
    return tf.random.stateless_normal(shape, [1, len(shape)])


def test_a_block_is_compiled_once_for_equal_settings():
    compiled = []

    def compiler(function):
        compiled.append(function)
        return function

    @blocks.block
    def times(value, *, factor):
        return value * factor

    assert times(3, factor=2) == 6 and not compiled and not blocks.are_compiled()
    with blocks.compiled_by(compiler):
        assert blocks.are_compiled()
        assert [times(3, factor=factor) for factor in (2, 3, 2)] == [6, 9, 6]
        with blocks.compiled_by(None):
            assert times(4, factor=2) == 8 and not blocks.are_compiled()
    assert len(compiled) == 2


def test_gelu():
    for plain, compiled in _both(layers.gelu, _rows(30, 16)):
        np.testing.assert_allclose(compiled, plain, atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_layer_norm_of_an_update(rate):
    norm = layers.LayerNorm(16, 1e-12, name="norm")
    norm.build()
    norm.gamma.assign(np.linspace(0.5, 2, 16))

    def function(inputs, update):
        return norm(inputs, update, dropout=Dropout(0, 7), rate=rate)

    for plain, compiled in _both(function, _rows(30, 16), _rows(30, 16) * 2):
        np.testing.assert_allclose(compiled, plain, atol=2e-5)
    inputs, update = _rows(30, 16), _rows(30, 16) * 2
    dropped = Dropout(0, 7)(update, rate)
    np.testing.assert_allclose(function(inputs, update), norm(inputs + dropped), atol=1e-6)


def test_dropout_is_the_same_choice():
    def function(inputs):
        return Dropout(3, 5)(inputs, 0.1)

    for plain, compiled in _both(function, ops.ones((300, 40))):
        np.testing.assert_array_equal(compiled == 0, plain == 0)
        np.testing.assert_allclose(compiled, plain, rtol=1e-6)


def test_dropout_has_no_pattern():
    """Of 2^20 elements in a row: share, runs, halves, and pairs at usual distances."""
    kept = [
        (Dropout(0, step)(tf.ones([1 << 20]), 0.1).numpy() > 0).astype(np.float64) - 0.9
        for step in (0, 1)
    ]
    spread = 0.09 / np.sqrt(1 << 20)  # of the mean of a product of two independent ones
    for choice in kept:
        assert abs(choice.mean()) < 5 * np.sqrt(0.09 / (1 << 20))
        for distance in (1, 2, 3, 4, 7, 64, 128, 256, 1024, 4096, 65_536):
            assert abs((choice[distance:] * choice[:-distance]).mean()) < 5 * spread, distance
    assert abs((kept[0] * kept[1]).mean()) < 5 * spread


def _trained(xla, batch, precision, accumulation_steps):
    """Weights after three steps, and the counts of the last one."""
    config = tiny_config()
    config.runtime.xla, config.runtime.precision = xla, precision
    config.train.batch_size, config.train.accumulation_steps = 8, accumulation_steps
    config.optimizer.warmup_steps = 0
    runtime = strategy.start(config.runtime, seed=0, num_steps=0)
    objective = build_objective(config, SyntheticVocabulary(config.model.vocab_size))
    optimizers = build_network_optimizers(
        objective.optimizers(), config.train.num_steps, objective.num_layers()
    )
    with runtime.strategy.scope():
        model = objective.new_model(1, runtime.precision)
        state = TrainState(model, optimizers, runtime.precision)
    loop = HostLoop(TrainStep(objective, model, optimizers, state, runtime, config.train))
    data = tf.data.Dataset.from_tensors(batch).repeat()
    counts, report = loop(iter(runtime.strategy.experimental_distribute_dataset(data)), 3)
    assert report["ok"].numpy()
    return {path: weight.numpy() for path, weight in state.weights.items()}, counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "accumulation_steps", "tolerance"),
    [("float32", 1, 1e-5), ("float32", 2, 1e-5), ("mixed_bfloat16", 1, 3e-3)],
)
def test_a_step_in_blocks_equals_the_plain_one(precision, accumulation_steps, tolerance):
    random = np.random.default_rng(0)
    batch = {
        "input_ids": random.integers(5, 97, (8, 16)).astype(np.int32),
        "input_mask": np.ones((8, 16), np.int32),
        "segment_ids": np.zeros((8, 16), np.int32),
    }
    plain, counts = _trained("false", batch, "float32", 1)  # dropout is that of the whole batch
    compiled, other_counts = _trained("blocks", batch, precision, accumulation_steps)
    for path, value in plain.items():
        np.testing.assert_allclose(compiled[path], value, rtol=1e-3, atol=tolerance, err_msg=path)
    if precision == "float32":
        for name, value in counts.items():
            np.testing.assert_allclose(other_counts[name], value, rtol=1e-3, err_msg=name)


def test_auto_compiles_blocks_of_a_long_training_alone():
    config = tiny_config().runtime
    for xla, num_steps, expected in (
        ("auto", strategy.LONG_TRAINING, True),
        ("auto", strategy.LONG_TRAINING - 1, False),
        ("blocks", 0, True),
        ("false", strategy.LONG_TRAINING, False),
    ):
        config.xla = xla
        runtime = strategy.start(config, seed=0, num_steps=num_steps)
        assert (runtime.compiles_blocks, "XLA in blocks" in str(runtime)) == (expected, expected)
