"""The program of docs/ranking.md that makes pairs of sentences, and that models rank them."""

import json
import pathlib
import runpy
import subprocess
import sys

import pytest

from electra_tf.runs import prediction
from electra_tf.saved import model_directory
from tests.integration.random_models import random_electra
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

PROGRAM, NUMBER = "docs/examples/swapped_words.py", 12


@pytest.fixture(scope="module")
def model(tmp_path_factory, uncased_vocab_file) -> str:
    path = tmp_path_factory.mktemp("electra") / "model"
    model_directory.write(random_electra(uncased_vocab_file, "embeddings"), str(path))
    return str(path)


@pytest.fixture(scope="module")
def text(tmp_path_factory, wikipedia_lines) -> str:
    path = tmp_path_factory.mktemp("wiki") / "text.txt"
    path.write_text("".join(f"{line}\n" for line in wikipedia_lines), encoding="utf-8")
    return str(path)


def arguments(model, text, output, seed=1) -> list[str]:
    return [
        *(PROGRAM, f"--model={model}", f"--text={text}", f"--corpus={text}"),
        *(f"--output_dir={output}", f"--number={NUMBER}", f"--seed={seed}"),
    ]


def written(output) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in output.iterdir()}


def make(monkeypatch, *settings) -> dict[str, str]:
    """Runs the program in this process."""
    monkeypatch.setattr(sys, "argv", arguments(*settings))
    runpy.run_path(str(ROOT / PROGRAM), run_name="__main__")
    return written(settings[2])


def test_one_word_of_each_sentence_is_swapped(model, text, tmp_path, monkeypatch):
    command = [sys.executable, *arguments(model, text, tmp_path / "one")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, check=True, cwd=ROOT, timeout=TIME_LIMIT, env=environment)
    files = written(tmp_path / "one")
    assert files == make(monkeypatch, model, text, tmp_path / "again")
    assert files != make(monkeypatch, model, text, tmp_path / "other", 2)
    kinds = [[json.loads(line) for line in files[kind].splitlines()] for kind in sorted(files)]
    source = pathlib.Path(text).read_text(encoding="utf-8")
    places = set()
    for frequent, sampled in zip(*kinds, strict=True):
        for row in (frequent, sampled):
            true, false = row["candidates"][row["original"]], row["candidates"][1 - row["original"]]
            assert true in source and row["word"] != row["replacement"]
            changed = [
                pair
                for pair in zip(true.split(" "), false.split(" "), strict=True)
                if pair[0] != pair[1]
            ]
            [(word, replacement)] = changed
            assert word.rstrip(",;:.") == row["word"]
            assert replacement.rstrip(",;:.") == row["replacement"]
            places.add(row["original"])
        assert frequent["candidates"][frequent["original"]] == true
        assert frequent["word"] == sampled["word"]
    assert len(kinds[0]) == NUMBER and places == {0, 1}
    for kind in files:
        ranked = tmp_path / f"{kind}.jsonl"
        source_file = tmp_path / "one" / f"{kind}.jsonl"
        assert prediction.predict(model, str(source_file), str(ranked)) == NUMBER
