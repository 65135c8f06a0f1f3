"""How many steps a quickstart takes: the decision, and what is said about it."""

import time

import pytest

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.runs import author_task, quickstart, time_budget
from electra_tf.runs.stages import Stage, run
from electra_tf.runs.time_budget import FEWEST_STEPS, TimeBudget, choose_steps


@pytest.mark.parametrize(
    ("most", "seconds", "step_seconds", "num_steps", "fits"),
    [
        (4500, 1000, 0.04, 4500, True),  # more time than steps
        (4510, 181, 0.04, 4510, True),
        (4500, 100, 0.04, 2500, True),
        (4500, 101, 0.04, 2500, True),  # hundreds
        (4500, 20, 0.04, FEWEST_STEPS, False),
        (4500, -60, 0.04, FEWEST_STEPS, False),
        (30, -60, 0.04, 30, False),  # never more than the config's
        (30, 60, 0.04, 30, True),
    ],
)
def test_steps_that_fit(most, seconds, step_seconds, num_steps, fits):
    decision = choose_steps(most, seconds, step_seconds)
    assert (decision.num_steps, decision.fits) == (num_steps, fits)
    assert decision.seconds == pytest.approx(num_steps * step_seconds)


def test_the_line_about_it():
    lines = [choose_steps(4500, seconds, 0.1).describe(4500, 7) for seconds in (500, 200, 50)]
    assert lines == [
        "all 4,500 steps, about 8 min at 10.0 steps/s",
        "2,000 of 4,500 steps, about 3 min at 10.0 steps/s: what --minutes=7 has time for",
        "1,000 of 4,500 steps, about 105 s at 10.0 steps/s: the fewest of use, which --minutes=7 "
        "has no time for",
    ]


@pytest.fixture
def slow(monkeypatch):
    """A machine of a third of the speed: a step takes 0.1 s."""
    measured = 3 * time_budget.TRACING_SECONDS, 0.1
    monkeypatch.setattr(time_budget, "step_seconds", lambda config: measured)


def test_a_slow_machine_has_fewer_steps(slow):
    budget = TimeBudget(7)
    assert budget.left(30) == "at most 7 min left"
    step = budget.measure(Config())
    assert budget.choose_steps(4500, step, others=60).num_steps == 2300  # of 240 s, some are gone
    assert budget.left(30) == "about 90 s left"
    assert budget.reference(budget.estimate(5.0)) == 5.0


def test_a_machine_that_becomes_slower(slow):
    """Three times as slow as the estimates say from the beginning, then more than that."""
    budget = TimeBudget(7)
    budget.measure(Config())
    assert budget.leaves_time(others=60, spent=50, expected=50)  # they take 180 of 462 s
    assert budget.leaves_time(others=60, spent=50, expected=100)
    assert budget.leaves_time(others=60, spent=125, expected=50)
    assert not budget.leaves_time(others=60, spent=130, expected=50)  # 468 s


def test_a_quickstart_stops_training_in_time(tmp_path, slow, monkeypatch, capsys):
    """Its training is asked after every few steps, from the fewest of use on."""
    config = Config.from_file("configs/quickstart.py")
    begun = quickstart._Quickstart(config, str(tmp_path), "docs:novels", 10)
    begun._stages = begun._list()
    begun._choose()
    answers = {}

    def pretrain(config, workdir, goes_on):
        start = time.monotonic()
        for step, seconds in ((900, 400), (1100, 130), (1200, 430)):
            monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: start + seconds)
            answers[step] = goes_on(step)
        return 1200

    monkeypatch.setattr(quickstart.pretraining, "pretrain", pretrain)
    begun._pretrain()
    assert answers == {900: True, 1100: True, 1200: False}
    said = capsys.readouterr().out
    num_steps = config.train.num_steps
    assert f"Stopped at step 1,200 of {num_steps:,}, for --minutes=10: the machine has" in said


def test_a_quickstart_decides_once(tmp_path, slow, capsys):
    def steps(minutes, num_steps=4500) -> int:
        config = Config.from_file("configs/quickstart.py")
        config.train.num_steps = num_steps
        begun = quickstart._Quickstart(config, str(tmp_path), "docs:novels", minutes)
        begun._stages = begun._list()
        begun._choose()
        return config.train.num_steps

    chosen = steps(minutes=5)
    assert FEWEST_STEPS <= chosen < 4500 and f"{chosen:,} of 4,500" in capsys.readouterr().out
    assert steps(minutes=0.1) == FEWEST_STEPS
    assert "has no time for" in capsys.readouterr().out
    assert steps(minutes=None) == 4500  # the user's own number
    assert steps(minutes=5, num_steps=30) == 30
    # What a run has begun with it keeps, unless the user says otherwise.
    config = Config.from_file("configs/quickstart.py")
    config.train.num_steps = 1700
    (tmp_path / "config.json").write_text(config.to_json(), encoding="utf-8")
    assert steps(minutes=60) == 1700
    assert steps(minutes=None) == 4500


def test_stages_tell_what_is_left(tmp_path, capsys):
    (tmp_path / "there").write_text("")
    done = []
    stages = [
        Stage("one", 100, lambda: done.append(1), str(tmp_path / "there")),
        Stage("two", 200, lambda: done.append(2)),
        Stage("three", 20, lambda: done.append(3), str(tmp_path / "there"), str(tmp_path / "no")),
    ]
    run(stages, TimeBudget())
    assert done == [2, 3]
    out = capsys.readouterr().out
    assert "[1/3] one (about 4 min left)\n      already there: " in out
    assert "[3/3] three (about 15 s left)" in out


def test_sentences_of_authors():
    splits = author_task.examples(quickstart.EVAL_FRACTION)
    assert splits == author_task.examples(quickstart.EVAL_FRACTION)
    for split, number in author_task.NUM_SENTENCES.items():
        labels = [row["label"] for row in splits[split]]
        assert labels == [author for author in author_task.AUTHORS for _ in range(number)]
        assert all(row["text"] == row["text"].strip() for row in splits[split])
    held_out = {row["text"] for row in splits["dev"]}
    assert len(held_out & {row["text"] for row in splits["train"]}) < 5  # "Yes, sir."


class Alone:
    """As much of a runtime as `shorten` asks for."""

    def least(self, number):
        return number


@pytest.fixture
def slow_steps(monkeypatch):
    """Two steps a second, after ten seconds of tracing."""
    monkeypatch.setattr(time_budget, "step_seconds", lambda config, runtime: (10.0, 0.5))


def test_a_run_with_a_time_to_end_by(slow_steps):
    config = Config()
    config.model.vocab_size = 100
    config.train.num_steps, config.optimizer.warmup_steps = 10_000, 500
    config.train.max_minutes = 10
    line = time_budget.shorten(config, Alone(), time.monotonic() - 90)
    assert config.train.num_steps == pytest.approx((600 - 90 - 10) / 0.5, abs=2)
    assert config.optimizer.warmup_steps == 50
    assert config.generator_optimizer.warmup_steps == -1  # as the other networks
    assert line.startswith(
        f"{config.train.num_steps:,} of 10,000 steps, about 8 min at 2.0 steps/s"
    )
    assert line.endswith("what config.train.max_minutes=10 has time for")
    steps = config.train.num_steps
    time_budget.shorten(config, Alone(), time.monotonic())
    assert config.train.num_steps == steps  # never more than there are


def test_no_time_for_any_step(slow_steps):
    config = Config()
    config.model.vocab_size, config.train.max_minutes = 100, 10
    rule = r"must leave time for 10 steps\. Received: 10, of which tracing takes 20 s, and a step 0"
    with pytest.raises(UserError, match=rule):
        time_budget.shorten(config, Alone(), time.monotonic() - 590)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objective.mask_fraction_by_step": "[[0, 0.3]]"}, "mask_fraction_by_step must be empty"),
        ({"init_from": "a", "init_schedule": "continue"}, "init_schedule must be restart"),
        (
            {"objective.name": "two_stage", "objective.generator_steps": 5},
            "a single phase. Received: two_stage with 2",
        ),
    ],
)
def test_steps_with_a_meaning_of_their_own_are_refused(slow_steps, fields, message):
    config = Config()
    config.model.vocab_size, config.train.max_minutes = 100, 1
    for name, value in fields.items():
        *section, field = name.split(".")
        setattr(getattr(config, *section) if section else config, field, value)
    with pytest.raises(UserError, match=message):
        time_budget.shorten(config, Alone(), time.monotonic())
