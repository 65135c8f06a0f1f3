"""One optimizer per network: who updates what, at which rate, clipped by which norm."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.train import in_place
from electra_tf.train import optimizers as optimizer_lib

DEPTHS = {"generator": 2, "discriminator": 2}
PATHS = (
    "electra/embeddings/tokens",
    "electra/generator/layer_0/x/kernel",
    "electra/generator_head/dense/kernel",
    "electra/discriminator/layer_1/x/kernel",
)
COMMON = OptimizerConfig(learning_rate=0.1, warmup_steps=0)
OTHER = dataclasses.replace(
    COMMON, name="lamb", schedule="constant", learning_rate=0.3, clip_norm=0.5, weight_decay=0.0
)


def state(optimizers):
    random = np.random.default_rng(0)

    def draw():
        return {
            path: ops.convert_to_tensor(random.normal(size=(3, 2)).astype("float32"))
            for path in PATHS
        }

    slots = {
        path: {name: slot.new() for name, slot in optimizers.slots(path, (3, 2)).items()}
        for path in PATHS
    }
    return draw(), draw(), slots


def apply(configs):
    optimizers = optimizer_lib.build_network_optimizers(configs, 100, DEPTHS)
    weights, gradients, slots = state(optimizers)
    norm = optimizer_lib.global_norm(list(gradients.values()))
    return optimizers, optimizers.apply(weights, gradients, slots, 4, norm)


def alone(config, paths):
    """The paths' new weights when nothing else exists."""
    optimizer = optimizer_lib.build_optimizer(config, 100, DEPTHS)
    weights, gradients, slots = state(optimizer)
    chosen = [gradients[path] for path in paths]
    norm = optimizer_lib.global_norm(chosen)
    clipped = optimizer_lib.clip_by_global_norm(chosen, config.clip_norm, norm)
    rate = optimizer.learning_rate(5)
    return {
        path: optimizer.update(path, weights[path], gradient, slots[path], 4, rate)[0]
        for path, gradient in zip(paths, clipped, strict=True)
    }


def test_the_longest_prefix_decides_and_each_clips_its_own():
    _, (weights, slots) = apply({"": COMMON, "electra/generator": OTHER})
    expected = alone(COMMON, [PATHS[0], PATHS[3]]) | alone(OTHER, [PATHS[1], PATHS[2]])
    assert weights.keys() == slots.keys() == set(PATHS)
    for path in PATHS:
        np.testing.assert_array_equal(weights[path], expected[path])


def test_equal_settings_are_one_optimizer():
    _, (weights, _) = apply({"": COMMON, "electra/generator": dataclasses.replace(COMMON)})
    expected = alone(COMMON, PATHS)
    for path in PATHS:
        np.testing.assert_array_equal(weights[path], expected[path])


def test_metrics_have_each_rate_by_its_prefix():
    both = {"": COMMON, "electra/generator": OTHER, "electra/generator_head": OTHER}
    rates = apply(both)[0].learning_rates(50)
    assert rates == pytest.approx({"learning_rate": 0.05, "learning_rate/electra/generator": 0.3})
    assert apply({"": COMMON})[0].learning_rates(50) == pytest.approx({"learning_rate": 0.05})


def test_a_variable_without_optimizer_is_a_fault():
    with pytest.raises(ValueError, match="'electra/embeddings/tokens'"):
        apply({"electra/generator": COMMON, "electra/discriminator": OTHER})


@pytest.mark.parametrize("name", ["adam", "adamw", "stable_adamw"])
def test_in_place_updates_are_those_of_apply(name):
    """Some weights idle at first, layers with their own rates, decay, two optimizers."""
    common = dataclasses.replace(COMMON, name=name, layer_decay=0.8, warmup_steps=7)
    optimizers = optimizer_lib.build_network_optimizers(
        {"": common, "electra/generator": OTHER}, 100, DEPTHS
    )
    weights, _, slots = state(optimizers)
    variables = {path: tf.Variable(value) for path, value in weights.items()}
    own_slots = tf.nest.map_structure(tf.Variable, slots)
    idle = {PATHS[3]: 2}
    update = tf.function(in_place.InPlace(optimizers, idle))
    for step in range(2, 8):
        gradients = {path: tf.cos(step * value) for path, value in weights.items()}
        norm = optimizer_lib.global_norm(list(gradients.values()))
        np.testing.assert_allclose(in_place.global_norm(list(gradients.values())), norm, 1e-6)
        weights, slots = optimizers.apply(weights, gradients, slots, step, norm, idle)
        update(variables, gradients, own_slots, tf.constant(step), norm)
        for path in PATHS:
            np.testing.assert_allclose(variables[path], weights[path], 1e-4, 1e-5, err_msg=path)
            for slot, expected in slots[path].items():
                np.testing.assert_allclose(own_slots[path][slot], expected, 1e-4, 1e-6)
