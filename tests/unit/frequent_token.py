"""The gradient of a token that stands everywhere, in two precisions; runs on every backend."""

import keras
import numpy as np
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.initialization import initialize
from electra_tf.models.layout import PaddedRows

ROWS, LENGTH, TOKEN = 64, 64, 3  # 4096 times


def largest_error() -> float:
    """By how much mixed_bfloat16 is off, as a share of the largest value, in the worst table."""
    expected, gradients = (_gradients(dtype) for dtype in ("float32", "mixed_bfloat16"))
    return max(
        float(np.abs(gradients[path] - value).max() / np.abs(value).max())
        for path, value in expected.items()
    )


def _gradients(dtype):
    """By path, of the three tables; what comes from above is the same in both precisions."""
    config = ModelConfig(vocab_size=10, embedding_size=16, max_positions=LENGTH)
    embeddings = Embeddings(config, dtype=dtype)
    embeddings.build()
    initialize(embeddings, 0.02, 0)
    batch = {
        "input_ids": np.full((ROWS, LENGTH), TOKEN, np.int32),
        "input_mask": np.ones((ROWS, LENGTH), np.int32),
    }
    random = np.random.default_rng(0)
    upstream = np.linspace(-1, 1, 16) + 0.3 * random.normal(size=(ROWS * LENGTH, 16))
    upstream = ops.cast(ops.cast(upstream, "bfloat16"), "float32")

    def loss():
        ids = ops.convert_to_tensor(batch["input_ids"])
        output = embeddings(ids, ids * 0, layout=PaddedRows(batch))
        return ops.sum(ops.cast(output, "float32") * upstream)

    variables = embeddings.trainable_variables
    gradients = _differentiate(loss, variables)
    return {
        variable.path: np.asarray(ops.convert_to_numpy(gradient), np.float32)
        for variable, gradient in zip(variables, gradients, strict=True)
        if variable.path.endswith(("tokens", "positions", "segments"))
    }


def _differentiate(loss, variables):
    if keras.backend.backend() == "jax":
        import jax

        def loss_of(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return loss()

        return jax.jit(jax.grad(loss_of))([variable.value for variable in variables])
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total = loss()
    gradients = tape.gradient(total, [variable.value for variable in variables])
    return [tf.convert_to_tensor(gradient) for gradient in gradients]
