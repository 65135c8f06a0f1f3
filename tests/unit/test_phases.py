"""Phases as a function of the step."""

import pytest

from electra_tf.objectives.phases import Phase, Timeline

FIRST = Phase("first", 3, terms=("a",), trains=("one/",))
SECOND = Phase("second", 4, trains=("two/",), copies={"two/": "one/"})
LAST = Phase("last", trains=("one/", "two/"))


def test_each_step_has_its_phase():
    timeline = Timeline((FIRST, SECOND, LAST))
    found = [timeline.at(step) for step in (0, 2, 3, 6, 7, 1000)]
    assert found == [
        (FIRST, 0, 3),
        (FIRST, 0, 3),
        (SECOND, 3, 7),
        (SECOND, 3, 7),
        (LAST, 7, None),
        (LAST, 7, None),
    ]
    assert Timeline((Phase(),)).at(5) == (Phase(), 0, None)


@pytest.mark.parametrize(
    ("path", "step", "idle"),
    [("one/x", 0, 0), ("one/x", 9, 4), ("two/x", 3, 3), ("two/x", 9, 3), ("both", 9, 7)],
)
def test_steps_that_did_not_train_a_weight(path, step, idle):
    assert Timeline((FIRST, SECOND, LAST)).idle_steps(path, step) == idle


def test_copies_are_named_by_the_beginnings_of_paths():
    assert SECOND.source("two/layer_0/kernel") == "one/layer_0/kernel"
    assert SECOND.source("one/layer_0/kernel") is None
    assert Phase().source("anything") is None and Phase().is_trained("anything")
    assert FIRST.is_trained("one/x") and not FIRST.is_trained("two/x")
