"""The benchmark's figures are consistent with each other."""

import json
import subprocess
import sys

import pytest


def test_figures(tmp_path):
    output = tmp_path / "figures.json"
    result = subprocess.run(
        [sys.executable, "-m", "electra_tf.benchmark", "--config=configs/electra_small.py",
         "--config.model.num_layers=1", "--config.model.vocab_size=500",
         "--config.train.batch_size=4", "--config.runtime.num_virtual_devices=2",
         "--seconds=0.5", f"--output={output}"], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    figures = json.loads(output.read_text())
    parts = figures["step_seconds"]
    assert parts["input"] is None and "not measured" in result.stdout
    assert sum(parts[name] for name in ("forward_backward", "all_reduce", "update")) \
        == pytest.approx(parts["total"])
    assert figures["replicas"] == 2
    speed = figures["tokens_per_second"]
    assert speed == pytest.approx(4 * 128 / parts["total"])
    assert figures["peak_share"] == pytest.approx(
        speed * figures["flops_per_token"] / figures["peak_flops_per_second"])


def test_electra_small_needs_70_mflop_per_token():
    """Counted by hand from Table 6: encoders, head at 19 of 128 positions, discriminator head."""
    from electra_tf.config import Config
    from electra_tf.objectives.flops import training_flops_per_token

    config = Config()
    config.model.vocab_size = 30522
    discriminator = 12 * (4 * 256 ** 2 + 2 * 256 * 1024 + 2 * 128 * 256) + 128 * 256
    generator = 12 * (4 * 64 ** 2 + 2 * 64 * 256 + 2 * 128 * 64) + 128 * 64
    heads = 19 / 128 * 128 * (64 + 30522) + 256 * 257
    expected = 6 * (discriminator + generator + heads)
    assert training_flops_per_token(config, 128) == pytest.approx(expected)
    assert expected == pytest.approx(70e6, rel=0.01)
