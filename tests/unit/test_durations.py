"""Durations in words: what was measured, and what is only guessed."""

import pytest

from electra_tf.durations import duration, estimate


@pytest.mark.parametrize(
    ("seconds", "measured", "guessed"),
    [
        (0, "0.0 s", "15 s"),
        (4.25, "4.2 s", "15 s"),
        (9.97, "10 s", "15 s"),
        (59.4, "59 s", "60 s"),
        (59.6, "1 min 0 s", "60 s"),
        (119.6, "2 min 0 s", "120 s"),
        (286, "4 min 46 s", "5 min"),
        (7199, "1 h 59 min", "120 min"),
        (7322, "2 h 2 min", "2 h"),
        (90_000, "1 d 1 h", "25 h"),
        (7_776_000, "90 d 0 h", "90 d"),
    ],
)
def test_durations(seconds, measured, guessed):
    assert (duration(seconds), estimate(seconds)) == (measured, guessed)
