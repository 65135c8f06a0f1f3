"""`adam` against 12 updates that the original's TensorFlow 1 optimizer made.

The recorded rates are those of steps 1 to 12: in the original's graph nothing orders the increment
of the step before or after the read of the schedule, and in this recording it came before. Ours
always reads first, so the test hands the schedule the recorded numbers.
"""

import os

import numpy as np
import pytest
from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.train import optimizer as optimizer_lib

PARITY = os.environ.get("ELECTRA_TF_PARITY", "/work/shared/parity")
TRAJECTORY = os.path.join(PARITY, "official_small_style", "adam_trajectory.npz")


@pytest.mark.skipif(not os.path.exists(TRAJECTORY), reason=f"no {TRAJECTORY}")
def test_adam_follows_the_original():
    """Schedule, clipping, moments and decay together, every value after every update."""
    data = np.load(TRAJECTORY)
    names = [key.removeprefix("init/") for key in data.files if key.startswith("init/")]
    paths = {name: name.replace("LayerNorm", "layer_norm") for name in names}
    config = OptimizerConfig(learning_rate=1e-2, warmup_steps=4, weight_decay=0.01, clip_norm=1.0)
    optimizer = optimizer_lib.build_optimizer(config, 12, {"encoder": 1})
    values = {name: ops.convert_to_tensor(data[f"init/{name}"]) for name in names}
    slots = {name: (ops.zeros_like(values[name]),) * len(optimizer.slots) for name in names}

    for step in range(12):
        gradients = [ops.convert_to_tensor(data[f"grad/{name}"][step]) for name in names]
        norm = optimizer_lib.global_norm(gradients)
        gradients = optimizer_lib.clip_by_global_norm(gradients, config.clip_norm, norm)
        rate = optimizer.learning_rate(step + 1)
        for name, gradient in zip(names, gradients):
            values[name], slots[name] = optimizer.update(
                paths[name], values[name], gradient, slots[name], step, rate)
            np.testing.assert_allclose(
                ops.convert_to_numpy(values[name]), data[f"value/{name}"][step],
                rtol=0, atol=5e-7, err_msg=f"{name} after update {step + 1}")
