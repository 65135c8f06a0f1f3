"""Optimizers: second implementations, determinism, convergence, schedule and layer decay.

Runs on every Keras backend: `KERAS_BACKEND=jax pytest tests/unit/test_optimizer.py`.
"""

import keras
import numpy as np
import pytest
from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.train import optimizers as optimizer_lib

DEPTHS = {"generator": 3, "discriminator": 12}
KERNEL = "electra/discriminator/layer_0/attention/qkv/kernel"
BIAS = "electra/discriminator/layer_0/attention/qkv/bias"


def build(name="adam", num_steps=100, **settings):
    settings = {"warmup_steps": 0, **settings}
    return optimizer_lib.build_optimizer(OptimizerConfig(name=name, **settings), num_steps, DEPTHS)


def fresh(optimizer, path, value):
    """The first values of a variable's slots."""
    return {name: slot.new() for name, slot in optimizer.slots(path, tuple(value.shape)).items()}


def run(optimizer, path, start, gradients, rate=None):
    """Values after each update, as one array [steps, ...]."""
    value = ops.convert_to_tensor(start)
    slots = fresh(optimizer, path, value)
    values = []
    for step, gradient in enumerate(gradients):
        value, slots = optimizer.update(
            path,
            value,
            ops.convert_to_tensor(gradient),
            slots,
            step,
            optimizer.learning_rate(step) if rate is None else rate,
        )
        values.append(ops.convert_to_numpy(value))
    return np.stack(values)


def problem(steps=8, shape=(5, 4)):
    rng = np.random.default_rng(7)
    return (
        rng.normal(size=shape).astype("float32"),
        rng.normal(size=(steps, *shape)).astype("float32"),
    )


def test_schedule_matches_hand_computed_values():
    optimizer = build(num_steps=10, learning_rate=0.2, warmup_steps=4)
    rates = [float(optimizer.learning_rate(step)) for step in (0, 1, 2, 4, 5, 9, 10, 11, 1000)]
    expected = [0, 0.2 * 0.9 * 0.25, 0.2 * 0.8 * 0.5, 0.2 * 0.6, 0.1, 0.02, 0, 0, 0]
    np.testing.assert_allclose(rates, expected, rtol=1e-6, atol=1e-9)
    assert min(rates) >= 0


def test_schedule_without_warmup_with_other_powers_and_tensor_steps():
    assert float(build(num_steps=10, learning_rate=0.2).learning_rate(0)) == pytest.approx(0.2)
    square = build(num_steps=10, learning_rate=0.2, decay_power=2.0)
    rate = square.learning_rate(ops.convert_to_tensor(5, "int32"))
    assert keras.backend.standardize_dtype(rate.dtype) == "float32"
    assert float(rate) == pytest.approx(0.05)
    constant = build(num_steps=10, learning_rate=0.2, decay_power=0.0)
    assert float(constant.learning_rate(50)) == pytest.approx(0.2)


def test_adam_without_correction_against_numpy():
    start, gradients = problem()
    value, m, v = start.astype("float64"), 0.0, 0.0
    expected = []
    for gradient in gradients.astype("float64"):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        value = value - 0.01 * (m / (np.sqrt(v) + 1e-6) + 0.1 * value)
        expected.append(value)
    actual = run(build(weight_decay=0.1), KERNEL, start, gradients, rate=0.01)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name, correction", [("adamw", False), ("adam", True)])
def test_corrected_adam_equals_keras_adamw(name, correction):
    """Epsilon is tiny, because Keras adds it before the correction and the papers after it."""
    start, gradients = problem()
    reference = keras.optimizers.AdamW(learning_rate=0.01, weight_decay=0.1, epsilon=1e-10)
    variable = keras.Variable(start)
    expected = []
    for gradient in gradients:
        reference.apply([ops.convert_to_tensor(gradient)], [variable])
        expected.append(ops.convert_to_numpy(variable))
    optimizer = build(name, weight_decay=0.1, epsilon=1e-10, bias_correction=correction)
    actual = run(optimizer, KERNEL, start, gradients, rate=0.01)
    np.testing.assert_allclose(actual, np.stack(expected), rtol=0, atol=3e-6)


def numpy_lamb(start, gradients, rate, decay, adapt):
    value, m, v = start.astype("float64"), 0.0, 0.0
    for t, gradient in enumerate(gradients.astype("float64"), 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        direction = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + decay * value
        ratio = np.linalg.norm(value) / np.linalg.norm(direction) if adapt else 1.0
        value = value - rate * ratio * direction
        yield value


@pytest.mark.parametrize("path, decay, adapt", [(KERNEL, 0.1, True), (BIAS, 0.0, False)])
def test_lamb_against_numpy(path, decay, adapt):
    start, gradients = problem()
    expected = np.stack(list(numpy_lamb(start, gradients, 0.01, decay, adapt)))
    actual = run(build("lamb", weight_decay=0.1), path, start, gradients, rate=0.01)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-6)


def test_lamb_moves_zero_weights_and_survives_zero_gradients():
    start, gradients = problem(steps=2)
    moved = run(build("lamb", weight_decay=0.0), KERNEL, 0 * start, gradients, rate=0.01)
    assert np.isfinite(moved).all() and np.abs(moved[0]).min() > 0
    still = run(build("lamb", weight_decay=0.0), KERNEL, start, 0 * gradients, rate=0.01)
    np.testing.assert_array_equal(still[-1], start)


def test_stable_adamw_against_numpy():
    """A gradient ten times as large as those before it makes a step that is cut."""
    start, gradients = problem()
    gradients[5] *= 10
    value, m, v, cuts, expected = start.astype("float64"), 0.0, 0.0, [], []
    for t, gradient in enumerate(gradients.astype("float64"), 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.99 * v + 0.01 * gradient**2
        corrected = v / (1 - 0.99**t)
        cuts.append(max(1.0, np.sqrt(np.mean(gradient**2 / corrected))))
        direction = (m / (1 - 0.9**t)) / (np.sqrt(corrected) + 1e-6) + 0.1 * value
        value = value - 0.01 / cuts[-1] * direction
        expected.append(value)
    assert cuts[0] == pytest.approx(1) and cuts[5] > 1.5
    actual = run(
        build("stable_adamw", weight_decay=0.1, beta_2=0.99), KERNEL, start, gradients, 0.01
    )
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-6)
    still = run(build("stable_adamw", weight_decay=0.0), KERNEL, start, 0 * gradients, rate=0.01)
    np.testing.assert_array_equal(still[-1], start)


@pytest.mark.parametrize("name", ["adam", "adamw", "stable_adamw", "lamb"])
def test_updates_are_bitwise_repeatable(name):
    start, gradients = problem()
    first, second = (run(build(name), KERNEL, start, gradients) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["adam", "adamw", "stable_adamw", "lamb"])
def test_least_squares_converges(name):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(64, 6)).astype("float32")
    target = inputs @ rng.normal(size=(6, 2)).astype("float32")
    optimizer = build(name, num_steps=300, learning_rate=0.05, weight_decay=0.0)
    value = ops.convert_to_tensor(rng.normal(size=(6, 2)).astype("float32"))
    slots = fresh(optimizer, KERNEL, value)
    losses = []
    for step in range(300):
        error = inputs @ ops.convert_to_numpy(value) - target
        losses.append(float((error**2).mean()))
        gradient = ops.convert_to_tensor(2 * inputs.T @ error / len(inputs))
        value, slots = optimizer.update(
            KERNEL, value, gradient, slots, step, optimizer.learning_rate(step)
        )
    assert losses[-1] < 1e-3 * losses[0]


def test_no_momentum_is_allowed():
    start, gradients = problem(steps=2)
    moved = run(build("adamw", beta_1=0.0, weight_decay=0.0), KERNEL, start, gradients, rate=0.01)
    np.testing.assert_allclose(moved[0], start - 0.01 * np.sign(gradients[0]), atol=1e-4)


def test_clipping_scales_only_above_the_limit():
    gradients = [ops.convert_to_tensor(np.float32([3, 0])), ops.convert_to_tensor(np.float32(4))]
    norm = optimizer_lib.global_norm(gradients)
    assert float(norm) == pytest.approx(5)
    for limit, factor in ((1.0, 0.2), (10.0, 1.0), (0.0, 1.0)):
        clipped = optimizer_lib.clip_by_global_norm(gradients, limit, norm)
        np.testing.assert_allclose(ops.convert_to_numpy(clipped[0]), [3 * factor, 0], rtol=1e-6)
        np.testing.assert_allclose(ops.convert_to_numpy(clipped[1]), 4 * factor, rtol=1e-6)


@pytest.mark.parametrize(
    "path, decays",
    [
        ("electra/embeddings/tokens", True),
        ("electra/embeddings/positions", True),
        ("electra/embeddings/layer_norm/gamma", False),
        ("electra/generator/embeddings_project/kernel", True),
        ("electra/generator/layer_3/feed_forward/output/kernel", True),
        ("electra/generator/layer_3/feed_forward/output/bias", False),
        ("electra/generator/layer_3/attention/layer_norm/beta", False),
        ("electra/generator_head/output_bias", False),
        ("electra/discriminator_head/logit/kernel", True),
    ],
)
def test_weight_decay_rule(path, decays):
    assert optimizer_lib.uses_weight_decay(path) is decays


@pytest.mark.parametrize(
    "path, power",
    [
        ("electra/discriminator_head/logit/kernel", 0),
        ("electra/generator_head/layer_norm/gamma", 0),
        ("electra/discriminator/layer_11/feed_forward/output/kernel", 1),
        ("electra/discriminator/layer_10/attention/layer_norm/beta", 2),
        ("electra/discriminator/layer_0/attention/qkv/kernel", 12),
        ("electra/discriminator/embeddings_project/kernel", 13),
        ("electra/embeddings/tokens", 13),
        ("electra/embeddings/layer_norm/gamma", 13),
        ("electra/generator/layer_2/attention/qkv/bias", 1),
        ("electra/generator/layer_0/attention/qkv/bias", 3),
        ("electra/generator/embeddings_project/bias", 4),
        ("electra/generator_embeddings/layer_norm/gamma", 4),
    ],
)
def test_layer_decay_table(path, power):
    assert optimizer_lib.layer_scale(path, 0.8, DEPTHS) == pytest.approx(0.8**power)
    assert optimizer_lib.layer_scale(path, 1.0, DEPTHS) == 1.0


def test_layer_decay_scales_the_update():
    start, gradients = problem(steps=1)
    full = run(build(), KERNEL, start, gradients, rate=0.01) - start
    decayed = run(build(layer_decay=0.5), KERNEL, start, gradients, rate=0.01) - start
    np.testing.assert_allclose(decayed, full * 0.5**12, atol=3e-7)


def test_errors_name_the_rule():
    with pytest.raises(
        ValueError,
        match="must be one of adam, adamw, stable_adamw, lamb, keras:NAME. Received: 'sgd'",
    ):
        build("sgd")
    with pytest.raises(ValueError, match="num_steps must be at least 1"):
        build(num_steps=0)
    for path in ("electra/other/layer_1/x/kernel", "electra/generator/layer_3/x/kernel"):
        with pytest.raises(ValueError, match="must name a network and a layer"):
            optimizer_lib.layer_scale(path, 0.9, DEPTHS)
