"""A toy study by the real commands: interrupted and continued, printed and run by a shell."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tiny_runs

from tests.conftest import REFERENCE, read_lines

pytestmark = pytest.mark.slow
STUDY = """
from electra_tf.config.study import Probe, Row, Study

def get_config():
    return Study(
        title="Toy",
        rows=[Row("electra"), Row("mlm", {"config.objective.name": "mlm"})],
        seeds=(0, 1),
        config="configs/electra_tiny.py:16",
        flags={
            "config.model.num_layers": 1,
            "config.model.hidden_size": 32,
            "config.model.max_positions": 32,
            "config.runtime.deterministic": True,
            "config.train.batch_size": 16,
            "config.train.checkpoint_steps": 10,
            "config.train.eval_steps": 0,
        },
        shares={"config.optimizer.warmup_steps": 0.1},
        compute=2e10,
        seq_length=32,
        vocab_size=500,
        data_flags={"num_workers": 1, "eval_fraction": 0.1},
        probes=[
            Probe(
                "frozen",
                "linear_probe",
                {"F1": "chunks.f1", "accuracy": "chunks.accuracy"},
                data={"chunks": "chunks"},
            ),
        ],
    )
"""


def write_files(folder: pathlib.Path) -> None:
    (folder / "toy.py").write_text(STUDY)
    lines = read_lines(REFERENCE / "wikipedia.txt.xz")
    (folder / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "chunks").mkdir()
    sentences = (REFERENCE / "chunks.txt").read_text(encoding="utf-8").strip().split("\n\n")
    (folder / "chunks" / "train.txt").write_text("\n\n".join(sentences * 5) + "\n\n")
    (folder / "chunks" / "test.txt").write_text("\n\n".join(sentences[::-1]) + "\n\n")


def lab(folder: pathlib.Path, root: str, *flags: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "electra_tf",
        "lab",
        f"--study={folder}/toy.py",
        f"--corpus={folder}/corpus.txt",
        f"--tasks_dir={folder}",
        f"--root={folder / root}",
        *flags,
    ]


def test_interrupted_and_printed_studies_come_to_the_same(tmp_path):
    write_files(tmp_path)
    first = tmp_path / "killed" / "runs" / "electra" / "seed_1" / "pretrain"
    with tiny_runs.start(lab(tmp_path, "killed")) as process:
        tiny_runs.wait_for(lambda: (first / "checkpoints" / "checkpoint").exists(), process)
        process.send_signal(signal.SIGTERM)
        result = tiny_runs.finish(process, 128 + signal.SIGTERM)
    assert result.stderr.splitlines()[-1] == "interrupted by SIGTERM"
    commands = [
        path.read_bytes()
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
        if _is_readable(path)
    ]
    assert not [each for each in commands if os.fsencode(tmp_path / "killed") in each]
    assert not (tmp_path / "killed" / "results.json").exists()

    result = tiny_runs.run(lab(tmp_path, "killed"))
    assert "[vocabulary] 1 commands, 1 done before" in result.stderr
    killed = json.loads((tmp_path / "killed" / "results.json").read_text())
    assert killed["columns"]["F1"]["mlm"]["n"] == 2 and not killed["failures"]

    # By a shell, on the same shards.
    shards = f"--data_dir={tmp_path}/killed/data/shards"
    printed = tiny_runs.run(lab(tmp_path, "printed", shards, "--print_commands")).stdout
    assert [line for line in printed.splitlines() if line.startswith("#")] == [
        "# pretrain", "# probes", "# results",
    ]  # fmt: skip
    (tmp_path / "electra_tf").write_text(f'#!/bin/sh\nexec {sys.executable} -m electra_tf "$@"\n')
    (tmp_path / "electra_tf").chmod(0o755)
    subprocess.run(
        ["sh"],
        input=printed,
        text=True,
        check=True,
        cwd=tiny_runs.ROOT,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(tiny_runs.ROOT),
        },
        timeout=tiny_runs.TIME_LIMIT,
    )
    for name in ("results.json", "table.md", "results.png", "results.svg"):
        files = [(tmp_path / root / name).read_bytes() for root in ("killed", "printed")]
        assert files[0] == files[1], name


def _is_readable(path: pathlib.Path) -> bool:
    try:
        path.read_bytes()
    except OSError:  # it has just ended
        return False
    return True
