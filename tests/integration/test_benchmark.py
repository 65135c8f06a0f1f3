"""The benchmark's figures."""

import json
import math
import subprocess
import sys

import pytest


def test_figures(tmp_path):
    output = tmp_path / "figures.json"
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "benchmark",
            "--config=configs/electra_small.py",
            "--config.model.num_layers=1",
            "--config.model.hidden_size=64",
            "--config.model.embedding_size=32",
            "--config.model.intermediate_size=128",
            "--config.model.vocab_size=500",
            "--config.train.batch_size=4",
            "--config.runtime.num_virtual_devices=2",
            "--seconds=0.1",
            f"--output={output}",
        ],
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(output.read_text())
    parts = figures["step_seconds"]
    assert parts["input"] is None and "not measured" in result.stdout
    assert 0 < parts["forward_backward"] < 60 and 0 < parts["total"] < 60
    assert (figures["replicas"], figures["device"]) == (2, "CPU")
    assert figures["tokens_per_second"] == pytest.approx(4 * 128 / parts["total"])
    assert 0 < figures["peak_share"] < 1
    assert 2**27 < figures["peak_memory_bytes"] < 2**35
    # An untrained generator guesses among 500 words, the discriminator is about undecided.
    assert figures["loss"] == pytest.approx(math.log(500) + 50 * math.log(2), rel=0.1)


def test_electra_small_needs_70_mflop_per_token():
    """Counted by hand from Table 6: encoders, head at 19 of 128 positions, discriminator head."""
    from electra_tf.config import Config
    from electra_tf.objectives import build_objective

    config = Config()
    config.model.vocab_size = 30522
    discriminator = 12 * (4 * 256**2 + 2 * 256 * 1024 + 2 * 128 * 256) + 128 * 256
    generator = 12 * (4 * 64**2 + 2 * 64 * 256 + 2 * 128 * 64) + 128 * 64
    heads = 19 / 128 * 128 * (64 + 30522) + 256 * 257
    expected = 6 * (discriminator + generator + heads)
    assert build_objective(config).training_flops_per_token(128) == pytest.approx(expected)
    assert expected == pytest.approx(70e6, rel=0.01)
