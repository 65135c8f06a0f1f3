"""The quickstart as a command, with a few steps on a small text: from nothing, stopped, again."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.runs import author_task, quickstart, swapped_words, time_budget
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

pytestmark = pytest.mark.slow
NUM_STEPS = 30


SETTINGS = {"num_steps": NUM_STEPS, "eval_steps": 15, "log_steps": 5, "checkpoint_steps": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds text.txt, sentences of a small grammar; the workdir is `run` in it."""
    folder = tmp_path_factory.mktemp("quickstart")
    random, lines = np.random.default_rng(0), []
    words = {
        "subject": "the function,a method,this class,the model".split(","),
        "verb": "returns,reads,replaces,describes".split(","),
        "object": "a list of names,the shape of the input,every line,its own words".split(","),
    }
    for _ in range(300):
        for _ in range(int(random.integers(2, 6))):
            lines.append(" ".join(random.choice(choices) for choices in words.values()) + ".")
        lines.append("")
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def again(folder, capsys):
    """Does in this process what the command does; gives what it has printed."""

    def again(inputs=folder / "text.txt", minutes=None, **settings) -> str:
        config = Config.from_file("configs/quickstart.py")
        config.train = dataclasses.replace(config.train, **SETTINGS | settings)
        quickstart.run(config, str(folder / "run"), str(inputs), minutes)
        return capsys.readouterr().out

    return again


def test_quickstart_stops_continues_and_reuses(folder, again):
    workdir = folder / "run"
    command = [
        *(sys.executable, "-m", "electra_tf", "quickstart"),
        f"--input={folder / 'text.txt'}",
        *(f"--config.train.{name}={value}" for name, value in SETTINGS.items()),
        f"--workdir={workdir}",
    ]
    # Stopped politely while it trains: it says so, and has saved.
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + TIME_LIMIT
    while not (metrics.exists() and metrics.stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=TIME_LIMIT)
    is_stopped = process.returncode == 128 + signal.SIGTERM
    assert is_stopped and "The same command continues" in errors or process.returncode == 0

    # The second call continues and completes.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already there") >= 3  # text, vocabulary, shards
    for name in (
        "config.json",
        "vocab.txt",
        "metrics.jsonl",
        "eval.json",
        "report.html",
        "curves.png",
        "checkpoints/checkpoint",
        "data/shards/dataset.json",
        "serving/1/saved_model.pb",
    ):
        assert (workdir / name).stat().st_size
    metrics = json.loads((workdir / "eval.json").read_text(encoding="utf-8"))
    assert metrics["step"] == NUM_STEPS
    assert {
        "masked_lm_accuracy",
        "disc_auc",
        "disc_auc_corpus",
        "disc_auc_uniform",
        "most_frequent_token_share",
    } <= set(metrics)
    for text in ("[12/12]", "left out: its sentences", "chance", "suspicion", "Total:"):
        assert text in done.stdout

    # The third has nothing to do but show.
    trained = (workdir / "metrics.jsonl").read_bytes()
    printed = again()
    assert printed.count("already there") == 7
    assert (workdir / "metrics.jsonl").read_bytes() == trained
    assert "suspicion" in printed

    # A budget does not change the number of steps of a run that has begun.
    assert again(minutes=60, num_steps=4500).count("already there") == 7
    assert (workdir / "metrics.jsonl").read_bytes() == trained

    # More steps: what was made of fewer is made again; another corpus is another workdir.
    assert again(num_steps=NUM_STEPS + 1).count("already there") == 3
    card = (workdir / "serving" / "1" / "model_card.json").read_text(encoding="utf-8")
    assert json.loads(card)["step"] == NUM_STEPS + 1
    with pytest.raises(UserError, match="A quickstart must keep its corpus"):
        again(inputs="docs:installed")


def test_a_step_is_measured(folder):
    config = configuration.load(str(folder / "run"))
    tracing, step = time_budget.step_seconds(config)
    assert 0 < step < tracing


def test_authors_are_told_apart(folder, monkeypatch, capsys):
    """A tiny fine-tuning, twice: the second replaces the first."""
    monkeypatch.setattr(author_task, "NUM_SENTENCES", {"train": 8, "dev": 4})
    monkeypatch.setattr(author_task, "EPOCHS", 1.0)
    run, data, workdir = (str(folder / name) for name in ("run", "sentences", "authors"))
    author_task.write(data, quickstart.EVAL_FRACTION)
    config = configuration.load(run)
    for _ in range(2):
        results = author_task.finetune_authors(config, run, data, workdir)
    printed = author_task.summary(data, workdir, results)
    assert "12 sentences" in printed and "always the same author: 0.333" in printed
    assert printed.count("; it is ") == 2


@pytest.mark.parametrize("name", ["mlm", "electric", "replace_mlm"])
def test_an_objective_without_a_detector_shows_no_swapped_words(name, capsys):
    config = Config()
    config.objective.name = name
    swapped_words.show_own("/no/bundle", config)
    assert f"config.objective.name={name} trains no detector" in capsys.readouterr().out
