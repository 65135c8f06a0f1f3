"""The whole pre-training pipeline as its user runs it, from raw text to a serving directory."""

import json
import pathlib
import sys

import numpy as np
import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tiny_pipelines
import tiny_runs

from electra_tf.tfx.runners.executions import summaries

NODES = {
    "ElectraExampleGen",
    "StatisticsGen",
    "PretrainingSchemaGen",
    "ExampleValidator",
    "ElectraPretrainer",
    "baseline",
    "HeldOutEvaluator",
    "ServingExporter",
    "BundleChecker",
    "Pusher",
}
RESOLVED = {"baseline": "COMPLETE"}  # a resolver is never cached: it looks anew
DATA_NODES = {"ElectraExampleGen", "StatisticsGen", "PretrainingSchemaGen", "ExampleValidator"}


def states(root) -> list[dict[str, str]]:
    """State of every node in each pipeline run."""
    return summaries(f"{root}/metadata.sqlite")


def only(folder) -> pathlib.Path:
    """The one entry of a folder."""
    entries = list(pathlib.Path(folder).iterdir())
    assert len(entries) == 1, entries
    return entries[0]


def output(root, node: str, key: str, choose=max) -> pathlib.Path:
    """The newest output of a node, or with `min` the oldest."""
    folder = pathlib.Path(root, "pipeline", node, key)
    return choose(folder.iterdir(), key=lambda path: int(path.name))


def files(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*")}


@pytest.fixture(scope="session")
def finished(corpus, tmp_path_factory) -> pathlib.Path:
    """The root of a pipeline that has run once."""
    root = tmp_path_factory.mktemp("pipeline") / "root"
    tiny_pipelines.run(tiny_pipelines.command(corpus, root))
    return root


def check_pushed(root) -> None:
    """All nodes are complete and the one pushed version is what was exported and checked."""
    (ran,) = states(root)
    assert ran == dict.fromkeys(NODES, "COMPLETE")
    version = only(root / "serving")
    assert files(version) == files(output(root, "ServingExporter", "servable") / "Format-Serving")
    assert {"saved_model.pb", "model_card.json"} <= files(version)
    assert (output(root, "BundleChecker", "blessing") / "INFRA_BLESSED").exists()
    assert (output(root, "HeldOutEvaluator", "blessing") / "BLESSED").exists()


@pytest.mark.slow
def test_text_becomes_a_pushed_version_and_only_a_better_one_follows(corpus, finished):
    check_pushed(finished)
    version = only(finished / "serving")

    again = tiny_pipelines.run(tiny_pipelines.command(corpus, finished))
    assert states(finished)[1] == dict.fromkeys(NODES, "CACHED") | RESOLVED
    assert "Starting at step" not in again.stderr
    assert only(finished / "serving") == version

    # With next to no learning rate the model stays as it was drawn: worse than the first.
    worse = tiny_pipelines.run(
        tiny_pipelines.command(corpus, finished, optimizer__learning_rate=1e-9)
    )
    assert states(finished)[2] == {
        node: "CACHED" if node in DATA_NODES else "COMPLETE" for node in NODES
    }
    assert "The model is not blessed: disc_auc must be above the baseline's" in worse.stderr
    assert (output(finished, "HeldOutEvaluator", "blessing") / "NOT_BLESSED").exists()
    assert only(finished / "serving") == version

    # The first config once more: its model, its blessing and its push are all still known.
    tiny_pipelines.run(tiny_pipelines.command(corpus, finished))
    assert states(finished)[3] == dict.fromkeys(NODES, "CACHED") | RESOLVED


@pytest.mark.slow
def test_killed_while_pre_training_and_continued(corpus, finished, tmp_path):
    root = tmp_path / "root"
    command = tiny_pipelines.command(corpus, root)
    unfinished = root / "pipeline" / "ElectraPretrainer" / "unfinished"

    def step():
        return max((tiny_runs.last_step(path) for path in unfinished.glob("*")), default=0)

    with tiny_runs.start(command) as process:
        tiny_pipelines.wait_for(lambda: step() >= 30, process)
        process.kill()
        process.communicate()
    killed_at = step()
    assert killed_at < 150, "the kill came too late to test anything"

    continued = tiny_pipelines.run(command).stderr
    first = int(continued.split("Continuing at step ")[1].split()[0])
    assert killed_at - 18 <= first <= killed_at + 9 and first % 9 == 0 and first >= 18
    check = states(root)[1]
    assert {check[node] for node in DATA_NODES} == {"CACHED"}
    assert check["ElectraPretrainer"] == "COMPLETE" and not unfinished.exists()

    # `finished` has gone on to another model in the meantime; its first one is of this config.
    lines, others = (
        tiny_runs.metrics(output(path, "ElectraPretrainer", "model_run", min))
        for path in (root, finished)
    )
    assert [(line["step"], line["split"]) for line in lines] == [
        (line["step"], line["split"]) for line in others
    ]
    values, wanted = (
        tiny_runs.saved(tiny_runs.latest(output(path, "ElectraPretrainer", "model", min)))
        for path in (root, finished)
    )
    assert values.keys() == wanted.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, wanted[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("", {}, "error: ElectraExampleGen: The input must hold at least one word. Received: "),
        (
            "a text\n",
            {"train__batch_size": 0},
            "error: ElectraPretrainer: config.train.batch_size must be at least 1. Received: 0",
        ),
        (None, {}, "error: ElectraExampleGen: The input must match at least one file. Received: "),
    ],
)
def test_failures_name_component_and_cause(tmp_path, text, changes, message):
    path = tmp_path / "corpus.txt"
    if text is not None:
        path.write_text(text)
    result = tiny_pipelines.run(tiny_pipelines.command(path, tmp_path / "root", **changes), code=1)
    *before, last = result.stderr.splitlines()
    assert last.startswith(message)
    assert not any("error" in line.lower() or "Traceback" in line for line in before)
    assert not list(tmp_path.glob("root/pipeline/ElectraExampleGen/examples/*"))


def test_an_unknown_field_of_the_default_config(tmp_path):
    result = tiny_pipelines.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "tfx_pretrain",
            "--input=text.txt",
            f"--root={tmp_path}",
            "--config.train.batch_sise=3",
        ],
        code=1,
    )
    assert result.stderr.splitlines()[-1].startswith("error: A --config flag must name a section")
    assert "batch_sise" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
def test_wikipedia(wikipedia_lines, tmp_path):
    text = tmp_path / "wikipedia.txt"
    text.write_text("\n".join(wikipedia_lines * 6), encoding="utf-8")
    root = tmp_path / "root"
    tiny_pipelines.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "tfx_pretrain",
            "--config=configs/quickstart.py",
            f"--input={text}",
            f"--root={root}",
            "--config.train.num_steps=60",
        ]
    )
    check_pushed(root)
    examples = output(root, "ElectraExampleGen", "examples")
    words = len(text.read_text(encoding="utf-8").split())
    counted = json.loads((examples / "dataset.json").read_text())["words"]
    assert counted == pytest.approx(words, rel=1e-3)
