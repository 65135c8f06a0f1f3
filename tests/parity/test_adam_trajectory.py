"""`adam` against 12 updates that the original's TensorFlow 1 optimizer made.

The recorded updates have the rates of steps 1 to 12, as ours have.
"""

import numpy as np
from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.train import optimizers as optimizer_lib
from tests.conftest import REFERENCE


def test_adam_follows_the_original():
    """Schedule, clipping, moments and decay together, every value after every update."""
    data = np.load(REFERENCE / "adam_trajectory.npz")
    names = [key.removeprefix("init/") for key in data.files if key.startswith("init/")]
    paths = {name: name.replace("LayerNorm", "layer_norm") for name in names}
    config = OptimizerConfig(learning_rate=1e-2, warmup_steps=4, weight_decay=0.01, clip_norm=1.0)
    optimizer = optimizer_lib.build_optimizer(config, 12, {"encoder": 1})
    values = {name: ops.convert_to_tensor(data[f"init/{name}"]) for name in names}
    slots = {}
    for name, value in values.items():
        declared = optimizer.slots(paths[name], tuple(value.shape))
        slots[name] = {slot: it.new() for slot, it in declared.items()}

    for step in range(12):
        gradients = [ops.convert_to_tensor(data[f"grad/{name}"][step]) for name in names]
        norm = optimizer_lib.global_norm(gradients)
        gradients = optimizer_lib.clip_by_global_norm(gradients, config.clip_norm, norm)
        rate = optimizer.learning_rate(step + 1)
        for name, gradient in zip(names, gradients, strict=True):
            values[name], slots[name] = optimizer.update(
                paths[name], values[name], gradient, slots[name], step, rate
            )
            np.testing.assert_allclose(
                ops.convert_to_numpy(values[name]),
                data[f"value/{name}"][step],
                rtol=0,
                atol=5e-7,
                err_msg=f"{name} after update {step + 1}",
            )
