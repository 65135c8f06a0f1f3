"""Learning-rate schedules by name: pure functions on `keras.ops`.

A schedule maps a step to a share of the peak learning rate, 1 where it is highest. The linear
warm-up multiplies every one of them, so none has it inside. A new schedule is a function here and
its line in `SCHEDULES`.

| name                | share of the peak, with p = part of the decay that is over, 0 to 1 |
| ------------------- | ------------------------------------------------------------------ |
| polynomial          | (1 - p) ** decay_power; p counts from step 0                       |
| constant            | 1                                                                  |
| cosine              | (1 + cos(pi p)) / 2; p counts from the end of the warm-up          |
| warmup_stable_decay | 1 - sqrt(p); p counts within the last decay_fraction of the steps  |
"""

import math

from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.errors import UserError


def learning_rate(config: OptimizerConfig, num_steps: int, step):
    """Learning rate of update number `step`, counted from 1.

    Args:
        config: optimizer section of the experiment.
        num_steps: number of updates of the run, at least 1.
        step: int scalar (Python int or tensor).

    Returns:
        float32 scalar, never negative.

    Raises:
        UserError: `config.schedule` names no schedule.
    """
    step = ops.cast(step, "float32")
    rate = config.learning_rate * find(config.schedule)(config, num_steps, step)
    if config.warmup_steps:
        rate = rate * ops.minimum(step / config.warmup_steps, 1.0)
    return rate


def find(name: str):
    """The function (config, num_steps, float32 step) to a share of the peak that a name means.

    Raises:
        UserError: there is none.
    """
    if name not in SCHEDULES:
        raise UserError(
            f"config.optimizer.schedule must be one of {', '.join(SCHEDULES)}. Received: {name!r}"
        )
    return SCHEDULES[name]


def polynomial(config, num_steps, step):
    """The original's: the decay runs from step 0 on, so warm-up and decay overlap.

    Its recorded updates have the rates of steps 1, 2, …; a linear schedule ends with rate 0.
    """
    return ops.power(1.0 - _progress(step, 0, num_steps), config.decay_power)


def constant(config, num_steps, step):
    """The peak, after the warm-up."""
    del config, num_steps
    return ops.ones_like(step)


def cosine(config, num_steps, step):
    """Half a cosine from the end of the warm-up to zero (Loshchilov and Hutter 2017)."""
    return 0.5 + 0.5 * ops.cos(math.pi * _progress(step, config.warmup_steps, num_steps))


def warmup_stable_decay(config, num_steps, step):
    """The peak, then one minus a square root to zero (Hägele et al. 2024; so does ModernBERT).

    A run can be prolonged from any checkpoint before its decay.
    """
    start = num_steps * (1.0 - config.decay_fraction)
    return 1.0 - ops.sqrt(_progress(step, start, num_steps))


def _progress(step, start, end):
    """Part of the way from `start` to `end` that is over, from 0 to 1; 1 where there is no way."""
    if start >= end:
        return ops.where(step < end, 0.0, 1.0)
    return ops.clip((step - start) / (end - start), 0.0, 1.0)


SCHEDULES = {
    "polynomial": polynomial,
    "constant": constant,
    "cosine": cosine,
    "warmup_stable_decay": warmup_stable_decay,
}
