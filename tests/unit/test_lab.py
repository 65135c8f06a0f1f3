"""The laboratory on commands that only pretend: order, failures, continuation, results."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import werkzeug.test
from scipy import stats
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import hparams_plugin

from electra_tf.config.study import Probe, Row, Study
from electra_tf.errors import UserError
from electra_tf.lab import pool, statistics, table
from electra_tf.lab.results import number_at
from electra_tf.lab.run import PICTURES, TABLE, Laboratory
from electra_tf.lab.stages import Task

# Writes what the command would, notes its call, and fails where the file `fail` says so.
STUB = """
import json, os, pathlib, sys, zlib
command, *arguments = sys.argv[1:]
flags = dict(argument[2:].split("=", 1) for argument in arguments)
with open("calls", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
place = flags.get("workdir") or flags.get("output") or flags["output_dir"]
fail = pathlib.Path("fail")
if fail.exists() and fail.read_text() in place:
    sys.exit("error: no luck today")
number = zlib.crc32(place.encode()) % 1000 / 1000
file, content = {
    "learn_vocab": (place, "words"),
    "build_dataset": (place + "/dataset.json", "{}"),
    "pretrain": (f"{place}/checkpoints/ckpt-{flags.get('config.train.num_steps')}.index", ""),
    "evaluate": (place + "/eval.json", json.dumps({"step": 10, "disc_auc": number})),
    "linear_probe": (place, json.dumps({"chunks": {"f1": number}})),
}[command]
os.makedirs(os.path.dirname(file), exist_ok=True)
pathlib.Path(file).write_text(content)
"""
PROBES = [
    Probe("held_out", "evaluate", {"AUC": "disc_auc"}),
    Probe("frozen", "linear_probe", {"chunks": "chunks.f1"}),
]


@pytest.fixture
def stub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("stub.py").write_text(STUB)
    monkeypatch.setattr(pool, "PROGRAM", (sys.executable, "stub.py"))


def laboratory(root="out", **changes) -> Laboratory:
    fields = {
        "title": "toy",
        "rows": [Row("a", steps=10), Row("b", steps=10, paper=82.2)],
        "seeds": (0, 1, 2),
        "config": "configs/electra_tiny.py:16",
        "seq_length": 16,
        "corpus": ["corpus.txt"],
        "probes": PROBES,
        "averages": {"both": ("AUC", "chunks")},
    }
    return Laboratory(Study(**(fields | changes)), root)


def calls() -> list[str]:
    path = pathlib.Path("calls")
    return path.read_text().splitlines() if path.exists() else []


def test_a_study_runs_stage_by_stage_and_only_once(stub):
    results = laboratory().run(jobs=2)
    commands = [line.split()[0] for line in calls()]
    assert commands[:2] == ["learn_vocab", "build_dataset"]
    assert commands[2:8] == ["pretrain"] * 6 and len(commands) == 8 + 12
    assert not results["failures"]
    cell = results["columns"]["chunks"]["a"]
    assert cell["n"] == 3 and set(cell["seeds"]) == {"0", "1", "2"}
    auc, chunks = (results["columns"][name]["a"]["seeds"]["1"] for name in ("AUC", "chunks"))
    assert results["columns"]["both"]["a"]["seeds"]["1"] == pytest.approx((auc + chunks) / 2)
    written = {name: (pathlib.Path("out") / name).read_bytes() for name in (TABLE, *PICTURES)}
    assert b"82.2" in written[TABLE] and written["results.png"].startswith(b"\x89PNG")
    assert json.loads(pathlib.Path("out/results.json").read_text()) == results

    again = laboratory()
    assert again.run(jobs=1) == results and len(calls()) == 20
    again.require_complete()
    assert again.lines() == []
    for name, content in written.items():
        assert (pathlib.Path("out") / name).read_bytes() == content, name


def trials_of(path: str) -> dict:
    """What TensorBoard tells of the trials below a directory, by the group's name."""
    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(path)
    provider = data_provider.MultiplexerDataProvider(runs.Reload(), path)
    context = base_plugin.TBContext(data_provider=provider, logdir=path)
    pages = hparams_plugin.HParamsPlugin(context).get_plugin_apps()
    asked = {
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_RUNNING", "STATUS_UNKNOWN"],
        "startIndex": 0,
        "sliceSize": 100,
        "colParams": [{"metric": {"tag": "AUC", "group": ""}}],
    }
    answer = werkzeug.test.Client(pages["/session_groups"]).post(json=asked)
    return {each["name"]: each for each in answer.get_json()["sessionGroups"]}


def test_tensorboard_compares_the_trials(stub):
    rows = [
        Row("a", {"config.objective.name": "mlm"}, steps=10),
        Row("b", {"config.optimizer.learning_rate": 1}, steps=10),
    ]
    pathlib.Path("fail").write_text("b/seed_1/pretrain")
    laboratory(rows=rows).run(jobs=1)
    assert len(trials_of("out/tensorboard")) == 5
    os.remove("fail")
    results = laboratory(rows=rows).run(jobs=1)
    trials = trials_of("out/tensorboard")
    assert len(trials) == 6
    assert trials["b/seed_1"]["hparams"] == {
        "row": "b",
        "seed": 1.0,
        "config.objective.name": "electra",
        "config.optimizer.learning_rate": 1.0,
    }
    assert trials["a/seed_0"]["hparams"]["config.objective.name"] == "mlm"
    for row in ("a", "b"):
        for seed in ("0", "1", "2"):
            [session] = trials[f"{row}/seed_{seed}"]["sessions"]
            assert session["status"] == "STATUS_SUCCESS"
            measured = {each["name"]["tag"]: each["value"] for each in session["metricValues"]}
            assert measured == {
                title: pytest.approx(column[row]["seeds"][seed])
                for title, column in results["columns"].items()
            }
    assert {each["trainingStep"] for each in session["metricValues"]} == {10}
    events = [path.parent for path in pathlib.Path("out/tensorboard").rglob("*tfevents*")]
    assert len(events) == len(set(events)) == 7  # nothing of the first call is left


def test_a_failure_stops_no_other_row_and_is_tried_again(stub):
    pathlib.Path("fail").write_text("b/seed_1/pretrain")
    lab = laboratory()
    results = lab.run(jobs=1)
    assert results["failures"] == {
        "runs/b/seed_1/pretrain": "no luck today",
        "runs/b/seed_1/held_out": "needs runs/b/seed_1/pretrain",
        "runs/b/seed_1/frozen": "needs runs/b/seed_1/pretrain",
    }
    assert results["columns"]["AUC"]["b"]["n"] == 2 and results["columns"]["AUC"]["a"]["n"] == 3
    assert results["compared"]["AUC"]["b"]["n"] == 2
    text = pathlib.Path("out", TABLE).read_text()
    assert "(n = 2)" in text and "- `runs/b/seed_1/pretrain`: no luck today" in text
    with pytest.raises(UserError, match="Received: 3 that did not, the first runs/b/seed_1/pre"):
        lab.require_complete()
    lab.require_complete("shards")
    number = len(calls())

    os.remove("fail")
    results = laboratory().run(jobs=1)
    assert [line.split()[0] for line in calls()[number:]] == [
        "pretrain",
        "evaluate",
        "linear_probe",
    ]
    assert not results["failures"] and results["columns"]["AUC"]["b"]["n"] == 3


def test_a_failed_corpus_leaves_nothing_to_train_on(stub):
    pathlib.Path("fail").write_text("vocab.txt")
    results = laboratory().run(jobs=1)
    assert len(calls()) == 1 and results["failures"]["data/shards"] == "needs data/vocab"


def test_printed_commands_come_to_the_same(stub):
    results = laboratory("out").run(jobs=1)
    for line in laboratory("printed").lines():
        if not line.startswith("#"):
            program = [sys.executable, "stub.py"]
            subprocess.run(" ".join(program + line.split()[1:]), shell=True, check=True)
    lab = laboratory("printed")
    assert lab.lines() == []
    printed = lab.run(jobs=1, stage="results")
    assert printed["columns"].keys() == results["columns"].keys()
    assert printed["columns"]["AUC"]["a"]["n"] == 3 and not printed["failures"]


def test_printed_commands_of_one_stage(stub):
    assert [line.split()[1] for line in laboratory().lines("pretrain")] == ["pretrain"] * 6
    headings = [line for line in laboratory().lines() if line.startswith("#")]
    assert headings == ["# vocabulary", "# shards", "# pretrain", "# probes"]


def test_one_stage_alone(stub):
    laboratory().run(jobs=1, stage="pretrain")
    assert calls() == []  # there is nothing to train on yet
    laboratory().run(jobs=1, stage="vocabulary")
    assert [line.split()[0] for line in calls()] == ["learn_vocab"]


def test_a_root_keeps_its_commands_and_may_grow(stub):
    laboratory().run(jobs=1)
    with pytest.raises(UserError, match="must keep its commands: that of runs/a/seed_0/pretrain"):
        laboratory(rows=[Row("a", {"config.train.batch_size": 8}, steps=10)]).run(jobs=1)
    laboratory(seeds=(0, 1, 2, 3)).run(jobs=1)
    os.rename("out", "moved")
    number = len(calls())
    laboratory("moved", seeds=(0, 1, 2, 3)).run(jobs=1)
    assert len(calls()) == number


def test_a_root_of_something_else_is_left_alone(stub):
    os.mkdir("out")
    pathlib.Path("out/results.json").write_text("mine")
    with pytest.raises(UserError, match="must be new or a study's, .* but with results.json"):
        laboratory().run(jobs=1)
    assert pathlib.Path("out/results.json").read_text() == "mine" and calls() == []


def test_an_evaluation_of_fewer_steps_is_made_again(stub):
    laboratory().run(jobs=1)
    path = pathlib.Path("out/runs/a/seed_0/pretrain/eval.json")
    path.write_text(json.dumps({"step": 5, "disc_auc": 0.0}))
    laboratory().run(jobs=1)
    assert json.loads(path.read_text())["step"] == 10


def test_a_signal_ends_the_children(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "PROGRAM", (sys.executable, "-c", "import time; time.sleep(99)"))
    tasks = [Task(f"t{n}", (), str(tmp_path / f"{n}.log"), lambda: False) for n in range(3)]

    def interrupt(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pool.run(tasks, 2, lambda task, code: None)
    assert time.monotonic() - start < 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.log", "1.log"]


def test_the_last_line_of_a_log(tmp_path):
    task = Task("t", (), str(tmp_path / "t.log"), lambda: False)
    assert pool.last_line(task) == ""
    for text, last in (("$ electra_tf x\n", ""), ("$ x\n10%\r90%\n\nerror: no\n\n", "error: no")):
        pathlib.Path(task.log).write_text(text)
        assert pool.last_line(task) == last


def test_summary_of_a_sample():
    found = statistics.summary([0.1, 0.2, 0.6])
    assert found["n"] == 3 and found["mean"] == pytest.approx(0.3)
    assert found["standard_deviation"] == pytest.approx(0.07**0.5)  # (0.04 + 0.01 + 0.09) / 2
    assert statistics.summary([0.5]) == {"n": 1, "mean": 0.5, "standard_deviation": None}


def test_paired_t_test_by_hand_and_by_scipy():
    ours, theirs = {0: 0.5, 1: 0.7, 2: 0.6, 9: 0.0}, {0: 0.4, 1: 0.5, 2: 0.5, 3: 1.0}
    found = statistics.paired(ours, theirs)
    # Differences 0.1, 0.2, 0.1: mean 4/30, standard deviation 1/sqrt(300), t = 4.
    assert found["n"] == 3 and found["difference"] == pytest.approx(4 / 30)
    assert found["t"] == pytest.approx(4.0)
    assert found["p"] == pytest.approx(0.0571910, abs=1e-6)
    reference = stats.ttest_rel([0.5, 0.7, 0.6], [0.4, 0.5, 0.5])
    assert (found["t"], found["p"]) == pytest.approx((reference.statistic, reference.pvalue))


@pytest.mark.parametrize("theirs", [{0: 0.4}, {0: 0.4, 1: 0.6}])
def test_no_test_without_a_spread(theirs):
    found = statistics.paired({0: 0.5, 1: 0.7}, theirs)
    assert found["difference"] == pytest.approx(0.1) and found["t"] is found["p"] is None
    assert statistics.paired({0: 1.0}, {1: 1.0})["n"] == 0


def test_numbers_in_results():
    content = {"median": {"dev": {"f1": 0.5, "stuck": True}}, "loss": None, "nan": float("nan")}
    assert number_at(content, "median.dev.f1") == 0.5
    for place in ("median.dev", "median.test.f1", "median.dev.stuck", "loss", "nan", "loss.x"):
        assert number_at(content, place) is None, place


def test_the_table():
    results = {
        "title": "Toy",
        "reference": "a",
        "seeds": [0, 1],
        "paper_title": "",
        "rows": {
            name: {"steps": 1000, "tokens": 1.0, "flops": 3.0e13, "series": "", "paper": paper}
            for name, paper in (("a", 85.0), ("b", None))
        },
        "columns": {
            "x": {
                "a": {"seeds": {}, "n": 2, "mean": 0.5, "standard_deviation": 0.01},
                "b": {"seeds": {}, "n": 1, "mean": 0.4, "standard_deviation": None},
            },
            "y": {"a": {"seeds": {}, "n": 2, "mean": 0.1, "standard_deviation": 0.0}},
        },
        "compared": {"x": {"b": {"n": 1, "difference": -0.1, "t": None, "p": None}}, "y": {}},
        "failures": {},
    }
    lines = table.markdown(results).splitlines()
    assert lines[0] == "# Toy"
    assert "|  | x | y | paper | FLOPs | steps |" in lines
    assert "| a | 0.500 ± 0.010 | 0.100 ± 0.000 | 85 | 3e+13 | 1,000 |" in lines
    assert "| b | 0.400 (n = 1) | – | – | 3e+13 | 1,000 |" in lines
    assert "| b | -0.100 (n = 1) | – |" in lines
