"""The quickstart as a command, with a few steps on a small text: from nothing, stopped, again."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from electra_tf.config import Config
from electra_tf.runs import quickstart
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

pytestmark = pytest.mark.slow
NUM_STEPS = 30


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The command line, on sentences of a small grammar; the workdir is its last word's value."""
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
    return [
        sys.executable,
        "-m",
        "electra_tf",
        "quickstart",
        f"--input={folder / 'text.txt'}",
        f"--config.train.num_steps={NUM_STEPS}",
        "--config.train.eval_steps=15",
        "--config.train.log_steps=5",
        "--config.train.checkpoint_steps=5",
        f"--workdir={folder / 'run'}",
    ]


def _workdir(command):
    return command[-1].partition("=")[2]


def test_quickstart_stops_continues_and_reuses(command):
    workdir = _workdir(command)
    # Stopped politely while it trains: it says so, and has saved.
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    metrics = os.path.join(workdir, "metrics.jsonl")
    deadline = time.monotonic() + TIME_LIMIT
    while not (os.path.exists(metrics) and os.path.getsize(metrics)):
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
        "curves.png",
        "checkpoints/checkpoint",
        "data/shards/dataset.json",
        "serving/1/saved_model.pb",
    ):
        assert os.path.getsize(os.path.join(workdir, name))
    with open(os.path.join(workdir, "eval.json"), encoding="utf-8") as file:
        metrics = json.load(file)
    assert metrics["step"] == NUM_STEPS
    assert {
        "masked_lm_accuracy",
        "disc_auc",
        "disc_auc_corpus",
        "disc_auc_uniform",
        "most_frequent_token_share",
    } <= set(metrics)
    for text in ("[8/8]", "chance", "always the most frequent", "suspicion", "Total:"):
        assert text in done.stdout

    # The third has nothing to do but show.
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("already there") == 6
    assert "Nothing to train" in again.stderr
    assert "suspicion" in again.stdout

    # More steps: what was made of fewer is made again; another corpus is another workdir.
    longer = [*command[:-1], f"--config.train.num_steps={NUM_STEPS + 1}", command[-1]]
    more = subprocess.run(longer, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert more.returncode == 0, more.stderr
    assert more.stdout.count("already there") == 3
    with open(os.path.join(workdir, "serving", "1", "model_card.json"), encoding="utf-8") as file:
        assert json.load(file)["step"] == NUM_STEPS + 1
    other = [*command, "--input=docs:installed"]
    refused = subprocess.run(other, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert refused.returncode == 1
    assert "A quickstart must keep its corpus" in refused.stderr


@pytest.mark.parametrize("name", ["mlm", "electric", "replace_mlm"])
def test_an_objective_without_a_detector_shows_no_swapped_words(name, capsys):
    config = Config()
    config.objective.name = name
    quickstart._show("/no/bundle", config)
    assert f"config.objective.name={name} trains no detector" in capsys.readouterr().out
