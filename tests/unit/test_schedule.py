"""Every learning-rate schedule against its closed form."""

import math

import numpy as np
import pytest
from keras import ops

from electra_tf.config import OptimizerConfig
from electra_tf.train import schedule

STEPS = (0, 1, 3, 10, 25, 50, 80, 81, 90, 99, 100, 101, 1000)
PEAK, WARMUP, END = 0.2, 10, 100


def polynomial(step):
    return (1 - min(step / END, 1)) ** 2


def constant(step):
    return 1.0


def cosine(step):
    progress = min(max((step - WARMUP) / (END - WARMUP), 0), 1)
    return (1 + math.cos(math.pi * progress)) / 2


def warmup_stable_decay(step):
    return 1 - math.sqrt(min(max((step - 80) / 20, 0), 1))


def rate_of(name, step, **settings):
    settings = {"learning_rate": PEAK, "warmup_steps": WARMUP, **settings}
    return schedule.learning_rate(OptimizerConfig(schedule=name, **settings), END, step)


@pytest.mark.parametrize("shape", [polynomial, constant, cosine, warmup_stable_decay])
def test_closed_form(shape):
    settings = {"decay_power": 2.0, "decay_fraction": 0.2}
    for steps in (STEPS, [ops.convert_to_tensor(step, "int32") for step in STEPS]):
        rates = [float(rate_of(shape.__name__, step, **settings)) for step in steps]
        expected = [PEAK * min(step / WARMUP, 1) * shape(step) for step in STEPS]
        np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-8)
        assert min(rates) >= 0


def test_all_schedules_are_tested():
    assert list(schedule.SCHEDULES) == ["polynomial", "constant", "cosine", "warmup_stable_decay"]


@pytest.mark.parametrize("name", list(schedule.SCHEDULES))
def test_without_warmup_and_with_nothing_else(name):
    assert float(rate_of(name, 0, warmup_steps=0)) == pytest.approx(PEAK)
    only_warmup = float(rate_of(name, 50, warmup_steps=END))
    assert 0 < only_warmup <= PEAK / 2 + 1e-6
    decay = [float(rate_of(name, step, warmup_steps=0, decay_fraction=1.0)) for step in range(END)]
    assert decay == sorted(decay, reverse=True)


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(ValueError, match="one of polynomial, constant, .* Received: 'linear'"):
        rate_of("linear", 1)
