"""What trials come to: medians against NumPy, the best trial, the table for the terminal."""

import json

import numpy as np
import pytest

from electra_tf.runs import results


def trial(seed, dev, test, stuck=False):
    """A trial with (main, other) metrics of two splits."""
    names = ("f1", "accuracy")
    return {
        "seed": seed,
        "stuck": stuck,
        "calibration": {},
        "metrics": {"dev": dict(zip(names, dev)), "eval_test": dict(zip(names, test))},
    }


@pytest.fixture
def trials():
    return [
        trial(5, (0.50, 0.91), (0.31, 0.95)),
        trial(6, (0.75, 0.10), (0.32, 0.96)),
        trial(7, (0.625, 0.92), (0.99, 0.97), stuck=True),
        trial(8, (0.25, 0.99), (0.1, 1.0)),
    ]


@pytest.mark.parametrize("number", [1, 3, 4])
def test_medians_are_numpys(trials, number):
    trials = trials[:number]
    summary = results.summarize("mine", "f1", trials)
    assert summary["task"] == "mine" and summary["main_metric"] == "f1"
    assert summary["trials"] == trials
    for split in ("dev", "eval_test"):
        for name in ("f1", "accuracy"):
            values = np.array([trial["metrics"][split][name] for trial in trials])
            assert summary["median"][split][name] == pytest.approx(np.median(values))
            assert summary["mean"][split][name] == pytest.approx(values.mean())
            deviation = np.sqrt(np.mean((values - values.mean()) ** 2))
            assert summary["standard_deviation"][split][name] == pytest.approx(deviation)
    assert json.loads(json.dumps(summary)) == summary


def test_the_best_is_of_the_first_splits_main_metric(trials):
    assert results.summarize("mine", "f1", trials)["best"] == 1
    assert results.summarize("mine", "accuracy", trials)["best"] == 3
    assert results.summarize("mine", "f1", [trials[3], trials[0], trials[0]])["best"] == 1


def test_without_data_to_score():
    alone = {"seed": 0, "stuck": False, "metrics": {}, "calibration": {}}
    summary = results.summarize("mine", "f1", [alone, alone])
    assert summary["best"] == 0 and summary["median"] == {}
    assert len(results.table(summary).splitlines()) == 1


def test_the_table_has_a_column_per_trial_and_names_the_stuck(trials):
    lines = results.table(results.summarize("mine", "f1", trials)).splitlines()
    assert lines[0].split() == [
        "seed",
        "5",
        "seed",
        "6",
        "seed",
        "7",
        "(stuck)",
        "seed",
        "8",
        "median",
        "mean",
        "std",
    ]
    rows = [line.rsplit(maxsplit=7) for line in lines[1:5]]
    assert [row[0].strip() for row in rows] == [
        "dev f1",
        "dev accuracy",
        "eval_test f1",
        "eval_test accuracy",
    ]
    assert rows[0][1:] == ["0.5000", "0.7500", "0.6250", "0.2500", "0.5625", "0.5312", "0.1849"]
    assert len({len(line) for line in lines[:5]}) == 1  # columns stand below each other
    assert len(lines) == 6 and lines[5].startswith("Stuck: seed 7 ended")
    healthy = results.table(results.summarize("mine", "f1", trials[:2]))
    assert "tuck" not in healthy and len(healthy.splitlines()) == 5
