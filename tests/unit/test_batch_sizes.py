"""Batches that are smaller at the beginning: which steps and examples they have."""

import numpy as np
import pytest

from electra_tf.config import Config
from electra_tf.config.batch_sizes import BatchSizes
from electra_tf.errors import UserError

NAME = "config.train.batch_warmup"
SIZES = BatchSizes("[[4, 2], [10, 3]]", 8, NAME)


def test_each_step_has_its_rows():
    rows = [SIZES.at(step).size for step in range(13)]
    assert rows == [2] * 4 + [3] * 6 + [8] * 3
    before = np.concatenate([[0], np.cumsum(rows)])
    assert [SIZES.examples(step) for step in range(14)] == before.tolist()
    # Where a pipeline of such batches would have its step 0.
    for step, first in enumerate(before[:-1]):
        stretch = SIZES.at(step)
        assert stretch.examples(0) + step * stretch.size == first
    assert [SIZES.steps(number) for number in before.tolist()] == list(range(14))
    assert SIZES.steps(26 + 4) == 10.5


def test_without_a_warmup_all_are_alike():
    sizes = BatchSizes("", 8, NAME)
    assert [sizes.at(step).size for step in (0, 10**9)] == [8, 8]
    assert sizes.examples(5) == 40 and sizes.steps(40) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2000, 64", "must be pairs of a step and the rows"),
        ("[]", "must be pairs of a step and the rows"),
        ("[[4, 2.5]]", "must be pairs of a step and the rows"),
        ("[[4, true]]", "must be pairs of a step and the rows"),
        ("[[4, 2], [4, 3]]", "must rise, the rows to below config.train.batch_size, 8"),
        ("[[4, 3], [5, 2]]", "must rise"),
        ("[[4, 8]]", "must rise"),
        ("[[0, 2]]", "must rise"),
        ("[[4, 0]]", "must rise"),
        ("[[4, 3]]", "config.train.accumulation_steps must divide config.train.batch_warmup. Rec"),
    ],
)
def test_what_is_none(text, message):
    config = Config()
    config.train.batch_size, config.train.accumulation_steps = 8, 2
    config.train.batch_warmup = text
    with pytest.raises(UserError, match=message):
        config.validate()
