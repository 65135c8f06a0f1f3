"""Whole runs with every path on a file system of TensorFlow, its in-memory `ram://`.

That lives in one process, so what other tests call as commands is called as functions here.
"""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tiny_runs
from tensorboard.compat.proto import event_pb2

import electra_tf
from electra_tf import file_systems, files
from electra_tf.errors import UserError
from electra_tf.runs import start_check
from electra_tf.runs.evaluation import evaluate
from electra_tf.train import log


@pytest.fixture(scope="module")
def places(tmp_path_factory, data) -> dict[str, str]:
    """A local folder and its like in memory, each with shards."""
    folders = {"local": str(tmp_path_factory.mktemp("local")), "url": "ram://bucket/folder"}
    for folder in folders.values():
        tf.io.gfile.makedirs(f"{folder}/shards")
        for name in file_systems.names(data):
            content = file_systems.read_bytes(os.path.join(data, name))
            with tf.io.gfile.GFile(os.path.join(folder, "shards", name), "wb") as file:
                file.write(content)
    return folders


def config_of(place: str, **more):
    config = electra_tf.Config.from_file("configs/electra_small.py")
    fields = {**tiny_runs.TINY, "data.dir": f"{place}/shards", **more}
    for name, value in fields.items():
        *section, field = name.split(".")
        setattr(getattr(config, *section) if section else config, field, value)
    return config


def lines_of(run: str) -> list[dict]:
    """metrics.jsonl without what is measured."""
    lines = log.read(f"{run}/metrics.jsonl")
    return [{name: it for name, it in line.items() if "per_second" not in name} for line in lines]


def weights_of(run: str) -> dict[str, np.ndarray]:
    found = tiny_runs.saved(tf.train.latest_checkpoint(f"{run}/checkpoints"))
    assert found
    return found


def assert_same_runs(run: str, other: str) -> None:
    weights, others = weights_of(run), weights_of(other)
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)
    assert lines_of(run) == lines_of(other) != []


@pytest.fixture(scope="module")
def runs(places):
    """In each place a run that was evaluated; the URL's stopped on its way and went on."""
    found = {}
    for name, place in places.items():
        for num_steps in (10, 20) if name == "url" else (20,):
            more = {"train.num_steps": num_steps, "train.eval_steps": 10, "data.vocab_file": ""}
            assert electra_tf.pretrain(config_of(place, **more), f"{place}/run") == num_steps
        found[name] = f"{place}/run"
        evaluate(found[name], random_words=True)
    return found


@pytest.mark.slow
def test_pretraining_and_evaluation_are_as_local_ones(places, runs):
    assert_same_runs(runs["local"], runs["url"])
    local, there = (set(file_systems.files_below(run)) for run in runs.values())
    events = {name for name in local | there if "tfevents" in name}
    assert local - events == there - events
    evaluations = [json.loads(file_systems.read_bytes(f"{run}/eval.json")) for run in runs.values()]
    assert evaluations[0] == evaluations[1] and evaluations[0]["step"] == 20
    records = tf.data.TFRecordDataset([f"{runs['url']}/{name}" for name in events & there])
    shown = [event_pb2.Event.FromString(each) for each in records.as_numpy_iterator()]
    assert {5, 10, 15, 20} == {event.step for event in shown if event.summary.value}
    # What may be done there is asked as it is of this machine.
    with pytest.raises(UserError, match="lies in the input"):
        evaluate(runs["url"], output=f"{runs['url']}/eval.json")
    with pytest.raises(UserError, match="leave the inputs alone"):
        electra_tf.pretrain(config_of(places["url"]), f"{places['url']}/shards")
    lines = start_check.check(config_of(places["url"]), runs["url"]).lines()
    assert any("continues at step 20 of 20; nothing is left" in line for line in lines)


def copy(run: str, name: str, left_out: str) -> str:
    """A copy of a run beside it, without the files whose path has some text in it."""
    url = f"ram://copies/{name}"
    for each in file_systems.files_below(run):
        if left_out not in each:
            file_systems.copy_file(f"{run}/{each}", f"{url}/{each}")
    return url


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ("config.json", "must contain config.json.*Received: ram://copies/0, "),
        ("ckpt-", "There must be a checkpoint.*ram://copies/1/checkpoints, which has none"),
        (".data-", "checkpoint must be complete.*ram://copies/2/checkpoints/ckpt-20"),
        ("vocab.txt", "ram://copies/3 without vocab.txt"),
    ],
)
def test_what_is_there_in_part_is_refused(runs, request, left_out, told):
    number = ("config.json", "ckpt-", ".data-", "vocab.txt").index(left_out)
    url = copy(runs["url"], str(number), left_out)
    with pytest.raises(UserError, match=told):
        electra_tf.load(url)


def test_paths_of_urls():
    url = "ram://paths/a"
    assert not file_systems.exists(url) and file_systems.matching(url, "*") == []
    with pytest.raises(FileNotFoundError, match=url):
        file_systems.read_bytes(url)
    file_systems.write_bytes(f"{url}/b/c.txt", b"first")
    file_systems.write_bytes(f"{url}/b/c.txt", b"2nd")  # replaced, and nothing beside it
    file_systems.write_bytes(f"{url}/other/c.txt", b"")
    assert file_systems.read_bytes(f"{url}/b/c.txt") == file_systems.opened(f"{url}/b/c.txt").read()
    assert file_systems.read_bytes(f"{url}/b/c.txt") == b"2nd"
    assert file_systems.names(f"{url}/b") == ["c.txt"]
    assert file_systems.is_dir(f"{url}/b") and not file_systems.is_file(f"{url}/b")
    assert file_systems.is_file(f"{url}/b/c.txt") and not file_systems.is_dir(f"{url}/b/c.txt")
    assert sorted(file_systems.files_below(url)) == ["b/c.txt", "other/c.txt"]
    assert file_systems.matching(url, "*/c.*") == [f"{url}/b/c.txt", f"{url}/other/c.txt"]
    assert file_systems.is_same(f"{url}/b/", f"{url}/other/../b")
    file_systems.remove_tree(f"{url}/b")
    file_systems.remove_tree(f"{url}/b")
    assert sorted(file_systems.files_below(url)) == ["other/c.txt"]
    with pytest.raises(OSError, match="File system scheme 'nothing' not implemented"):
        file_systems.write_bytes("nothing://a/b", b"")


def test_outputs_are_urls_only_where_a_command_can_write_them():
    url = "ram://outputs"
    with pytest.raises(UserError, match="must be a path on this machine. Received: 'ram:"):
        files.workdir(f"{url}/run", [], ())
    assert files.workdir(f"{url}/run", [f"{url}/data"], ("checkpoints",), url=True) == f"{url}/run"
    files.write_text(f"{url}/run/checkpoints/a", "é")
    with pytest.raises(UserError, match="without it, but with checkpoints"):
        files.workdir(f"{url}/run", [], ("checkpoints",), url=True)
    with pytest.raises(UserError, match=f"leave the inputs alone. Received: {url}/run/"):
        files.workdir(f"{url}/run/", [f"{url}/other/../run"], (), url=True)
    path = f"{url}/run/checkpoints/a"
    with pytest.raises(UserError, match="must be a directory. Received: .*/a, a file"):
        files.workdir(path, [], (), url=True)
    with pytest.raises(UserError, match="must not exist yet"):
        files.output(path, url=True)
    assert files.output(path, url=True, overwrite=True) == path
    with pytest.raises(UserError, match="must be a file. Received: .*, a directory"):
        files.output(f"{url}/run", url=True, overwrite=True)
    kind = files.Kind("a thing", "thing.json", ("part",))
    with pytest.raises(UserError, match="new or an empty directory"):
        files.output(f"{url}/run", kind, url=True)
    with pytest.raises(UserError, match="a thing and nothing else.*has no thing.json"):
        files.output(f"{url}/run", kind, url=True, overwrite=True)
    with files.new_file(f"{url}/new/b") as temporary:
        with open(temporary, "w") as file:
            file.write("b")
        assert not file_systems.exists(f"{url}/new/b")
    assert file_systems.read_bytes(f"{url}/new/b") == b"b"
