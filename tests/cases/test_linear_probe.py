"""What is read from frozen states of networks with random weights, and what is refused."""

import json
import pathlib
import sys

import pytest
import tiny_runs
from random_models import random_electra

import electra_tf
from electra_tf.errors import UserError
from electra_tf.probes import linear
from electra_tf.saved import model_directory
from tests import made_glue

SENTENCES = ["the small model has one text", "of large words the model is small", "a text or two"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory, tiny_vocab_file) -> str:
    path = str(tmp_path_factory.mktemp("models") / "model")
    model_directory.write(random_electra(tiny_vocab_file, "embeddings"), path)
    return path


@pytest.fixture(scope="module")
def model(directory):
    return electra_tf.load(directory)


def write_tags(folder: pathlib.Path, *splits: str) -> str:
    """Words whose tag is told by the word itself: nouns are spans."""
    nouns = {"model", "text", "words"}
    lines = []
    for sentence in SENTENCES * 20:
        lines += [f"{word} {'B-N' if word in nouns else 'O'}" for word in sentence.split()]
        lines.append("")
    for split in splits:
        (folder / f"{split}.txt").write_text("\n".join(lines))
    return str(folder)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_word_tells_its_tag(model, tmp_path, split):
    found = linear.tags(model, write_tags(tmp_path, "train", split))
    assert found["f1"] > 0.95 and found["accuracy"] > 0.95
    assert found == linear.tags(model, str(tmp_path))


def test_tags_that_nothing_tells(model, tmp_path):
    write_tags(tmp_path, "train")
    lines = (tmp_path / "train.txt").read_text().splitlines()
    turned = [
        f"{line.split()[0]} {('O', 'B-N')[number % 2]}" if line else ""
        for number, line in enumerate(lines)
    ]
    (tmp_path / "dev.txt").write_text("\n".join(turned) + "\n")
    assert linear.tags(model, str(tmp_path))["f1"] < 0.8


def test_a_file_to_score_is_needed(model, tmp_path):
    with pytest.raises(
        UserError, match="must be a dev or test file with tags. Received: .*without"
    ):
        linear.tags(model, write_tags(tmp_path, "train"))


def test_similar_sentences_have_similar_states(model, tmp_path):
    header = (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
    )
    pairs = [
        ("the small model", "the small model", 5.0),
        ("the small model", "the small models", 4.0),
        ("the small model", "a large text", 1.0),
        ("of the and to in", "no who so", 0.0),
    ]
    rows = [f"{n}\tx\tx\tx\tx\tx\tx\t{a}\t{b}\t{score}" for n, (a, b, score) in enumerate(pairs)]
    (tmp_path / "dev.tsv").write_text("\n".join([header, *rows]) + "\n")
    found = linear.similarity(model, str(tmp_path))
    assert found["spearman"] > 0.7 and found["pearson"] > 0.7


def test_the_command(directory, tmp_path):
    sentences = made_glue.write("STS-B", tmp_path / "STS-B")
    (tmp_path / "tags").mkdir()
    chunks = write_tags(tmp_path / "tags", "train", "dev")
    output = tmp_path / "frozen.json"
    command = [sys.executable, "-m", "electra_tf", "linear_probe", f"--model={directory}"]
    command += [f"--chunks={chunks}", f"--similarity={sentences}", f"--output={output}"]
    result = tiny_runs.run(command)
    found = json.loads(output.read_text())
    assert found["chunks"]["f1"] > 0.95 and -1 <= found["similarity"]["spearman"] <= 1
    assert result.stdout.splitlines()[0].startswith("chunks f1 ")
    result = tiny_runs.run(command, code=1)
    assert result.stderr.startswith("error: The output must not exist yet.")


def test_the_command_asks_something(directory, tmp_path):
    command = [sys.executable, "-m", "electra_tf", "linear_probe", f"--model={directory}"]
    result = tiny_runs.run([*command, f"--output={tmp_path}/x.json"], code=1)
    assert result.stderr == "error: --chunks or --similarity must be given. Received: neither\n"
