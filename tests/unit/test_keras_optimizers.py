"""Keras's optimizers as pure functions: the same trajectory as Keras's own, and what is refused."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.train import optimizers as optimizer_lib
from electra_tf.train.optimizers import keras_adapter

# Muon treats matrices, vectors and embeddings each in its own way; Adafactor all three, too.
SHAPES = {
    "electra/discriminator/layer_0/output/kernel": (5, 4),
    "electra/discriminator/layer_0/attention/qkv/kernel": (4, 3, 2),
    "electra/discriminator/layer_0/output/bias": (4,),
    "electra/embeddings/tokens": (7, 4),
}
ARGUMENTS = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adam": {"amsgrad": True},
    "Muon": {"ns_steps": 3},
}
OWN_DECAY = {"Muon": {"adam_weight_decay": 0.01}}  # Muon has a second one


def build(name, arguments=None, **settings):
    settings = {"warmup_steps": 0, "decay_power": 0.0, "learning_rate": 0.01, **settings}
    config = OptimizerConfig(
        name=f"keras:{name}", keras_arguments=json.dumps(arguments or {}), **settings
    )
    return optimizer_lib.build_optimizer(config, 100, {"discriminator": 1})


def scoped(path, value):
    """A Keras variable with this path."""
    scope, _, rest = path.partition("/")
    if not rest:
        return keras.Variable(value, name=path)
    with keras.name_scope(scope):
        return scoped(rest, value)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("name", keras_adapter.NAMES)
def test_the_trajectory_is_that_of_keras(name, decay):
    random, arguments = np.random.default_rng(7), ARGUMENTS.get(name, {})
    paths = [path for path in SHAPES if not decay or not path.endswith("bias")]
    start = {path: random.normal(size=SHAPES[path]).astype("float32") for path in paths}
    theirs = [scoped(path, start[path]) for path in paths]
    assert [variable.path for variable in theirs] == paths
    reference = getattr(keras.optimizers, name)(
        learning_rate=0.01,
        weight_decay=decay,
        **arguments,
        **({"adam_weight_decay": decay} if name == "Muon" else {}),
    )
    ours, optimizer = dict(start), build(name, arguments, weight_decay=decay)
    slots = {
        path: {name: it.new() for name, it in optimizer.slots(path, SHAPES[path]).items()}
        for path in paths
    }
    for step in range(6):
        gradients = [random.normal(size=SHAPES[path]).astype("float32") for path in paths]
        reference.apply([ops.convert_to_tensor(gradient) for gradient in gradients], theirs)
        for path, gradient in zip(paths, gradients, strict=True):
            ours[path], slots[path] = optimizer.update(
                path,
                ops.convert_to_tensor(ours[path]),
                ops.convert_to_tensor(gradient),
                slots[path],
                step,
                optimizer.learning_rate(step + 1),
            )
        for path, variable in zip(paths, theirs, strict=True):
            np.testing.assert_allclose(ours[path], variable, rtol=0, atol=5e-7, err_msg=path)
    assert all(np.abs(ours[path] - start[path]).max() > 1e-5 for path in paths)


def test_slots_have_the_shapes_and_starts_of_keras():
    path = "electra/discriminator/layer_0/output/kernel"
    declared = build("Adafactor").slots(path, (5, 4))
    assert {name: slot.shape for name, slot in declared.items()} == {
        "slot_0": (5,),
        "slot_1": (4,),
        "velocity": (5, 4),
    }
    assert list(build("Adafactor").slots("electra/bias", (4,))) == ["velocity"]
    assert build("SGD").slots(path, (5, 4)) == {}
    assert build("Adam").slots(path, (5, 4)).keys() == {"momentum", "velocity"}
    accumulator = build("Adagrad", {"initial_accumulator_value": 0.5}).slots(path, (2,))
    np.testing.assert_array_equal(accumulator["accumulator"].new(), [0.5, 0.5])


def test_layer_decay_is_ours():
    path, random = "electra/discriminator/layer_0/output/kernel", np.random.default_rng(0)
    start, gradient = random.normal(size=(2, 5, 4)).astype("float32")
    moved = []
    for layer_decay in (1.0, 0.5):
        optimizer = build("Lion", layer_decay=layer_decay, weight_decay=0.0)
        slots = {name: slot.new() for name, slot in optimizer.slots(path, (5, 4)).items()}
        arguments = ops.convert_to_tensor(start), ops.convert_to_tensor(gradient), slots, 0, 0.01
        moved.append(ops.convert_to_numpy(optimizer.update(path, *arguments)[0]) - start)
    np.testing.assert_allclose(moved[1], moved[0] / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Nadam", "", "a function of the variable.*Received: keras:Nadam; it keeps a product"),
        ("ScheduleFreeAdamW", "", "other weights than it trains"),
        ("lion", "", "must name one of .*Lion, Muon.* Received: 'lion'"),
        ("Optimizer", "", "Received: 'Optimizer'"),
        ("Lion", "{", "must be a JSON object"),
        ("Lion", "[1]", "must be a JSON object"),
        ("Lion", '{"beta_3": 1}', "may contain only beta_1, beta_2. Received: beta_3"),
        ("Lion", '{"clipnorm": 1.0}', "Received: clipnorm"),
        ("Lion", '{"use_ema": true}', "Received: use_ema"),
        ("Lion", '{"beta_1": 7}', "must be in the .* Received: '.*7}'"),
    ],
)
def test_what_cannot_be_exact_is_refused(name, arguments, message):
    config = OptimizerConfig(name=f"keras:{name}", keras_arguments=arguments)
    with pytest.raises(ValueError, match=message):
        optimizer_lib.build_optimizer(config, 100, {})


def test_every_optimizer_of_keras_is_known():
    known = {*keras_adapter.NAMES, *keras_adapter.REFUSED, "Optimizer"}
    public = {name for name, it in vars(keras.optimizers).items() if isinstance(it, type)}
    assert public == known
