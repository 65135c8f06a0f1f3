"""`electra_tf finetune` and `electra_tf predict`: whole runs of every kind of task."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import tiny_runs
import tiny_tasks
from tiny_tasks import NUM_DEV, NUM_TEST

from electra_tf.runs import prediction
from electra_tf.saved import model_directory
from electra_tf.saved.weights import SavedWeights

# By task: the main metric, its range, the least it must come to, the files of predictions.
KINDS = {
    "pairs": ("accuracy", (0, 1), 0.9, {"task-dev.jsonl", "task-test.jsonl"}),
    "multi_label": ("micro_f1", (0, 1), 0.9, {"task-dev.jsonl", "task-test.jsonl"}),
    "regression": ("spearman", (-1, 1), 0.8, {"task-dev.jsonl", "task-test.jsonl"}),
    "tagging": ("f1", (0, 1), 0.9, {"chunk-dev.txt", "chunk-eval_test.txt"}),
    "squad": (
        "best_f1",
        (0, 1),
        0.9,
        {
            f"{name}{split}.json"
            for split in ("", "-test")
            for name in ("predictions", "nbest_predictions", "null_odds", "best_thresholds")
        },
    ),
    "cola": ("matthews", (-1, 1), 0.8, {"CoLA-dev.tsv", "CoLA.tsv"}),
}
SHORT = {"train.num_epochs": 1.0, **tiny_runs.NO_DROPOUT}  # 20 steps


def results(workdir) -> dict:
    return json.loads(pathlib.Path(workdir, "results.json").read_text())


def weights(workdir) -> dict[str, np.ndarray]:
    saved = SavedWeights(f"{workdir}/checkpoints")
    return {path: saved.read(path) for path in saved.shapes}


def lines(path) -> list:
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def names(folder) -> set[str]:
    return {path.name for path in pathlib.Path(folder).iterdir()}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return tiny_tasks.write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory, tiny_vocab_file):
    return tiny_tasks.write_model(
        tmp_path_factory.mktemp("model") / "small", tiny_vocab_file, num_layers=1
    )


@pytest.fixture(scope="module")
def tasks(tmp_path_factory, model):
    """By name: the config and its fields, with the data written."""
    root = tmp_path_factory.mktemp("tasks")
    written = {name: tiny_tasks.write_task(name, root / name) for name in tiny_tasks.TASKS}
    return {
        name: (config, {"init_from": model, **fields}) for name, (config, fields) in written.items()
    }


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, tasks):
    """A run of each kind, with its dev file predicted once more."""
    root, runs = tmp_path_factory.mktemp("kinds"), []
    for name in KINDS:
        config, fields = tasks[name]
        (source,) = pathlib.Path(fields["data.dir"]).glob("dev*")
        if name == "cola":  # GLUE's own files have no names of columns to predict by
            sentences = [line.split("\t")[3] for line in source.read_text().splitlines()]
            source = root / "sentences.tsv"
            source.write_text("".join(f"{line}\n" for line in ["sentence", *sentences]))
        runs.append((root / name, config, fields, source))
    return root, dict(zip(KINDS, tiny_tasks.together(*runs), strict=True))


@pytest.fixture(scope="module")
def settings(tmp_path_factory, tasks, small_model):
    """20 steps of one task in settings that must not change what is learnt; a random start.

    The last has a training file only.
    """
    root, (config, fields) = tmp_path_factory.mktemp("settings"), tasks["classification"]
    (root / "data").mkdir()
    shutil.copy(pathlib.Path(fields["data.dir"]) / "train.csv", root / "data")
    changes = {
        "one": {},
        "two": {"runtime.strategy": "mirrored"},
        "accumulated": {"train.accumulation_steps": 2},
        "xla": {"runtime.xla": "true"},
        "random": {"init_from": f"random:{small_model}", "data.dir": str(root / "data")},
    }
    seen = tiny_tasks.together(
        *(
            (root / name, config, {**fields, **SHORT, "init_from": small_model, **change})
            for name, change in changes.items()
        )
    )
    return root, dict(zip(changes, seen, strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_learns_its_rule(kinds, name):
    (root, seen), (metric, metric_range, least, predictions) = kinds, KINDS[name]
    assert seen[name]["error"] is None
    summary = results(root / name)
    assert summary["task"] == {"cola": "CoLA", "squad": "squad_v2", "tagging": "chunk"}.get(
        name, "task"
    )
    assert summary["main_metric"] == metric and summary["best"] == 0
    (trial,) = summary["trials"]
    assert (trial["seed"], trial["stuck"]) == (0, False)
    assert trial["metrics"].keys() == {"dev"} | ({"eval_test"} if name == "tagging" else set())
    assert summary["median"] == summary["mean"] == trial["metrics"]
    for values in trial["metrics"].values():
        assert next(iter(values)) == metric and values[metric] >= least
        for other, value in values.items():
            low, high = (-1, 1) if other == "pearson" else metric_range
            assert low <= value <= high or other == "mse", other
    assert names(root / name / "predictions") == predictions
    assert names(root / name) == {
        "config.json",
        "vocab.txt",
        "checkpoints",
        "predictions",
        "results.json",
        "trial_0",
    }
    assert names(root / name / "trial_0") == {
        "metrics.jsonl",
        "tensorboard",
        "result.json",
        "predictions",
    }


@pytest.mark.parametrize("name", KINDS)
def test_the_step_is_traced_once_whatever_the_width(kinds, name):
    assert kinds[1][name]["traces"] == 1
    assert len(set(kinds[1][name]["widths"])) > 1


@pytest.mark.parametrize("name", ["pairs", "multi_label", "regression"])
def test_predictions_for_a_file_are_those_of_the_run(kinds, name):
    text = pathlib.Path(f"{kinds[0] / name}.predicted").read_text()
    assert text == (kinds[0] / name / "predictions" / "task-dev.jsonl").read_text()
    assert len(text.splitlines()) == NUM_DEV


def test_predicted_labels_are_those_of_the_files(kinds, tasks):
    """What goes out says the same as what was learnt from, example by example."""
    root = kinds[0]
    rows = lines(pathlib.Path(tasks["pairs"][1]["data.dir"]) / "dev.jsonl")
    predicted = lines(f"{root / 'pairs'}.predicted")
    assert [line["id"] for line in predicted] == [row["id"] for row in rows]
    right = [line["label"] == str(row["label"]) for line, row in zip(predicted, rows)]
    assert np.mean(right) == results(root / "pairs")["median"]["dev"]["accuracy"]
    for line in predicted:
        assert line["label"] == max(line["probabilities"], key=line["probabilities"].get)
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    file = pathlib.Path(tasks["multi_label"][1]["data.dir"]) / "dev.tsv"
    golds = [
        set(line.split("\t")[1].split("|")) - {""} for line in file.read_text().splitlines()[1:]
    ]
    exact = [
        set(line["labels"]) == gold
        for line, gold in zip(lines(f"{root / 'multi_label'}.predicted"), golds, strict=True)
    ]
    assert np.mean(exact) == results(root / "multi_label")["median"]["dev"]["exact_match"]

    rows = lines(pathlib.Path(tasks["regression"][1]["data.dir"]) / "dev.jsonl")
    scores = [line["score"] for line in lines(f"{root / 'regression'}.predicted")]
    correlation = np.corrcoef(scores, [row["label"] for row in rows])[0, 1]
    assert correlation == pytest.approx(
        results(root / "regression")["median"]["dev"]["pearson"], abs=1e-5
    )
    assert -25 < min(scores) < -10 and 10 < max(scores) < 25  # in the units of the file


def test_predicted_tags_are_those_of_the_run(kinds):
    predicted = lines(f"{kinds[0] / 'tagging'}.predicted")
    blocks = (kinds[0] / "tagging" / "predictions" / "chunk-dev.txt").read_text().split("\n\n")
    columns = [[line.split("\t") for line in block.splitlines()] for block in blocks[:-1]]
    assert len(predicted) == NUM_DEV
    assert [list(zip(line["words"], line["tags"])) for line in predicted] == [
        [tuple(word) for word in sentence] for sentence in columns
    ]


def test_predicted_answers_are_those_of_the_run_at_its_threshold(kinds):
    folder = kinds[0] / "squad" / "predictions"
    texts, odds, best = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("predictions", "null_odds", "best_thresholds")
    )
    predicted = json.loads(pathlib.Path(f"{kinds[0] / 'squad'}.predicted").read_text())
    assert len(texts) == NUM_DEV
    assert predicted == {
        name: "" if odds[name] > best["best_f1"] else text for name, text in texts.items()
    }
    assert 0.2 < np.mean([not text for text in predicted.values()]) < 0.8


def test_glue_files_and_predictions_say_the_same(kinds):
    folder = kinds[0] / "cola" / "predictions"
    predicted = [line["label"] for line in lines(f"{kinds[0] / 'cola'}.predicted")]
    for name, number in (("CoLA-dev.tsv", NUM_DEV), ("CoLA.tsv", NUM_TEST)):
        rows = [line.split("\t") for line in (folder / name).read_text().splitlines()]
        assert rows[0] == ["index", "prediction"]
        assert [row[0] for row in rows[1:]] == [str(index) for index in range(number)]
        if name == "CoLA-dev.tsv":
            assert [row[1] for row in rows[1:]] == predicted


@pytest.mark.parametrize("name", ["two", "accumulated", "xla"])
def test_equal_to_rounding(settings, small_model, name):
    root, seen = settings
    assert seen["one"]["error"] is None and seen[name]["error"] is None
    expected, got = weights(root / "one"), weights(root / name)
    start = model_directory.read(small_model).encoder_only().weights
    assert got.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_allclose(got[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
    # The tolerance is small against what training changes.
    assert max(np.abs(expected[path] - value).max() for path, value in start.items()) > 1e-2
    probabilities = [
        [
            list(line["probabilities"].values())
            for line in lines(root / run / "predictions" / "task-dev.jsonl")
        ]
        for run in ("one", name)
    ]
    np.testing.assert_allclose(*probabilities, atol=1e-4)


def test_traces_and_widths_of_the_settings(settings):
    """Accumulation has the first micro-batch and the loop over the others."""
    seen = settings[1]
    assert {name: seen[name]["traces"] for name in seen} == {
        "one": 1,
        "two": 2,
        "accumulated": 2,
        "xla": 1,
        "random": 1,
    }
    assert len(set(seen["one"]["widths"])) > 1 and len(set(seen["xla"]["widths"])) == 1


@pytest.mark.slow
def test_a_later_trial_is_what_it_would_be_alone(tasks, small_model, tmp_path):
    config, fields = tasks["classification"]
    fields = {**fields, "train.num_epochs": 1.0, "init_from": small_model, "train.log_steps": 1}
    both, alone = tiny_tasks.together(
        (tmp_path / "both", config, {**fields, "num_trials": 2}),
        (tmp_path / "alone", config, {**fields, "train.seed": 1}),
    )
    assert both["error"] is None and alone["error"] is None
    assert both["traces"] == 1  # for all trials
    first, later, same = (
        lines(tmp_path / run / "metrics.jsonl")
        for run in ("both/trial_0", "both/trial_1", "alone/trial_0")
    )
    assert len(later) == len(same) > 3
    for line, expected in zip(later, same, strict=True):
        for name in expected.keys() - {"split", "tokens_per_second"}:
            assert line[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-5), name
    assert abs(first[0]["loss"] - later[0]["loss"]) > 1e-3


def test_a_random_start_takes_only_sizes_and_vocabulary(settings, small_model):
    """Tokens that no training text has keep the values that they begin with."""
    root, tables = settings[0], {}
    vocabulary = pathlib.Path(small_model, "vocab.txt").read_text()
    (table,) = [path for path, value in weights(root / "one").items() if value.shape[0] > 100]
    for run in ("one", "random"):
        tables[run] = weights(root / run)[table]
        assert (root / run / "vocab.txt").read_text() == vocabulary
    unseen = vocabulary.split().index("tokens")
    pretrained = model_directory.read(small_model).weights[table]
    np.testing.assert_array_equal(tables["one"][unseen], pretrained[unseen])
    assert tables["random"].shape == pretrained.shape
    assert np.abs(tables["random"][unseen] - pretrained[unseen]).max() > 0.05
    assert 0.005 < tables["random"][unseen].std() < 0.03  # fresh: config.model.initializer_range


def test_a_training_file_is_enough(settings):
    (root, seen) = settings
    assert seen["random"]["error"] is None
    (trial,) = results(root / "random")["trials"]
    assert trial["metrics"] == {} and results(root / "random")["median"] == {}
    assert names(root / "random") == {
        "config.json",
        "vocab.txt",
        "checkpoints",
        "results.json",
        "trial_0",
    }


@pytest.mark.slow
def test_the_commands_and_a_second_trial(tasks, tmp_path):
    (config, fields), run = tasks["classification"], tmp_path / "run"
    first = tiny_runs.run(tiny_tasks.command(config, run, {**fields, "train.num_epochs": 2.0}))
    header, accuracy, macro_f1 = first.stdout.splitlines()
    assert header.split() == ["seed", "0", "median", "mean", "std"]
    assert accuracy.startswith("dev accuracy  ") and macro_f1.startswith("dev macro_f1  ")
    score = results(run)["median"]["dev"]["accuracy"]
    assert score > 0.9 and f"{score:.4f}" in accuracy
    assert "Traceback" not in first.stderr and "WARNING" not in first.stderr, first.stderr

    output = tmp_path / "predictions" / "dev.jsonl"
    source = pathlib.Path(fields["data.dir"]) / "dev.csv"
    said = tiny_runs.run(tiny_tasks.predict_command(run, source, output))
    assert said.stdout == f"{output}: predictions for {NUM_DEV} examples\n" and not said.stderr
    assert output.read_text() == (run / "predictions" / "task-dev.jsonl").read_text()
    assert {line["label"] for line in lines(output)} == {"five, or so", "one"}

    kept = (run / "trial_0" / "result.json").stat().st_mtime_ns
    former, answers, changed = weights(run), output.read_text(), {**fields, "train.num_epochs": 2.0}
    second, faster, fewer = tiny_tasks.together(
        (run, config, {**changed, "num_trials": 2}),
        (run, config, {**changed, "num_trials": 2, "optimizer.learning_rate": 1e-3}),
        (run, config, changed),
    )
    assert second["error"] is None and second["traces"] == 1  # trial 0 is not trained again
    assert (run / "trial_0" / "result.json").stat().st_mtime_ns == kept
    summary = results(run)
    assert [trial["seed"] for trial in summary["trials"]] == [0, 1]
    scores = [trial["metrics"]["dev"]["accuracy"] for trial in summary["trials"]]
    assert summary["best"] == int(np.argmax(scores))
    assert summary["median"]["dev"]["accuracy"] == pytest.approx(np.mean(scores))
    is_former = all(np.array_equal(value, former[path]) for path, value in weights(run).items())
    assert is_former == (summary["best"] == 0)
    best = (run / f"trial_{summary['best']}" / "predictions" / "task-dev.jsonl").read_text()
    assert (run / "predictions" / "task-dev.jsonl").read_text() == best
    assert best != answers or summary["best"] == 0
    assert "checkpoints" not in names(run / "trial_0") | names(run / "trial_1")

    assert re.fullmatch(
        r"All trials of a workdir must have the same settings: "
        rf"config.optimizer.learning_rate was 0.002 in {run}. Received: 0.001. "
        r"Take another --workdir.",
        faster["error"],
    )
    assert f"config.num_trials must be at least 2, of which {run} has" in fewer["error"]
    assert results(run) == summary


def test_what_cannot_be_run_leaves_nothing(tasks, model, tmp_path, tiny_vocab_file):
    config, fields = tasks["classification"]
    nameless = pathlib.Path(tiny_tasks.write_model(tmp_path / "nameless", tiny_vocab_file))
    (nameless / "vocab.txt").unlink()
    source = pathlib.Path(fields["data.dir"])
    for name in ("untrained", "mislabelled", "unanswered"):
        (tmp_path / name).mkdir()
    shutil.copy(source / "dev.csv", tmp_path / "untrained")
    shutil.copy(source / "train.csv", tmp_path / "mislabelled")
    (tmp_path / "mislabelled" / "dev.csv").write_text("review,stars\nthe model,six\n")
    questions = pathlib.Path(tasks["squad"][1]["data.dir"]) / "dev-v2.0.json"
    shutil.copy(questions, tmp_path / "unanswered")
    wrong = [
        ({"init_from": ""}, "config.init_from must be a model directory or a pre-training run"),
        (
            {"init_from": str(nameless)},
            f"A model to fine-tune must have a vocabulary. Received: {nameless} without vocab.txt",
        ),
        (
            {"task.max_seq_length": 49},
            "config.task.max_seq_length must be at most the model's positions, 48. Received: 49",
        ),
        (
            {"data.dir": ""},
            "config.data.dir must be the directory of the task's files. Received: nothing",
        ),
        ({"data.dir": "/nowhere"}, "config.data.dir must be a directory. Received: /nowhere"),
        ({"data.dir": str(tmp_path / "untrained")}, "The train file must be one of train.tsv"),
        (
            {"data.dir": str(tmp_path / "mislabelled")},
            "A label must be one of five, or so, one. "
            f"Received: 'six' in {tmp_path}/mislabelled/dev.csv, line 2",
        ),
        (
            {"runtime.strategy": "mirrored", "train.batch_size": 7},
            "config.train.batch_size must be a multiple of devices x accumulation_steps, 2 x 1",
        ),
        ({"task.kind": "parsing"}, "config.task.kind must be one of"),
    ]
    runs = [(tmp_path / "run", config, {**fields, **change}) for change, _ in wrong]
    config, fields = tasks["squad"]
    runs.append((tmp_path / "run", config, {**fields, "data.dir": str(tmp_path / "unanswered")}))
    wrong.append(
        (
            {},
            "There must be a training file; config.data.train_file names it. Received: "
            f"{tmp_path}/unanswered with dev",
        )
    )
    for seen, (_, message) in zip(tiny_tasks.together(*runs), wrong, strict=True):
        assert seen["error"] and seen["error"].startswith(message), seen["error"]
        assert "\n" not in seen["error"]
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=f"files of a task are for a fine-tuned .* for {model}"):
        prediction.predict(model, str(source / "dev.csv"), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
