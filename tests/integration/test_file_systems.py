"""Whole runs with every path on a file system of TensorFlow, its in-memory `ram://`.

That lives in one process, so what other tests call as commands is called as functions here.
"""

import gzip
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
from electra_tf.runs import finetuning, start_check
from electra_tf.runs.evaluation import evaluate
from electra_tf.saved import model_directory
from electra_tf.saved.weights import SavedWeights
from electra_tf.serving.checking import contents
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
    """In each place a run that ended, went on and was evaluated."""
    found = {}
    for name, place in places.items():
        for num_steps in (10, 20):
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
        ("vocab.txt", "vocabulary must be a readable file.*ram://copies/3/vocab.txt"),
    ],
)
def test_what_is_there_in_part_is_refused(runs, left_out, told):
    number = ("config.json", "ckpt-", ".data-", "vocab.txt").index(left_out)
    url = copy(runs["url"], str(number), left_out)
    with pytest.raises(UserError, match=told):
        evaluate(url)


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
    with tf.io.gfile.GFile(f"{url}/b/.c.txt.tmp", "w") as file:
        file.write("of a killed process, longer than what is written next")
    assert sorted(file_systems.files_below(url)) == ["b/c.txt", "other/c.txt"]
    file_systems.write_bytes(f"{url}/b/c.txt", b"3rd")
    assert file_systems.read_bytes(f"{url}/b/c.txt") == b"3rd"
    file_systems.remove_tree(f"{url}/b")
    file_systems.remove_tree(f"{url}/b")
    assert sorted(file_systems.files_below(url)) == ["other/c.txt"]
    with pytest.raises(OSError, match="'nothing' not implemented .*; TensorFlow has .*gs, ram"):
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


@pytest.fixture(scope="module")
def tuned(places, runs):
    """In each place a classification of two trials, of files there, from the run there."""
    found, random = {}, np.random.default_rng(0)
    texts = [" ".join(f"word{word}" for word in random.integers(0, 40, 6)) for _ in range(60)]
    rows = [{"text": text, "label": f"{'word1' in text}"} for text in texts]
    lines = [json.dumps(row) + "\n" for row in rows]
    for name, place in places.items():
        files.write_text(f"{place}/task/train.jsonl", "".join(lines[:48]))
        packed = gzip.compress("".join(lines[48:]).encode())
        files.write_bytes(f"{place}/task/dev.jsonl.gz", packed)
        config = electra_tf.FinetuneConfig.from_file("configs/custom.py:classification")
        config.data.dir, config.init_from, config.num_trials = f"{place}/task", runs[name], 2
        config.task.max_seq_length, config.train.batch_size = tiny_runs.LENGTH, 8
        config.train.num_epochs, config.train.log_steps = 2.0, 2
        found[name] = f"{place}/tuned"
        electra_tf.finetune(config, found[name])
    return found


@pytest.mark.slow
def test_finetuning_is_as_a_local_one(tuned):
    """Weights, results, predictions, and which files there are."""
    local, url = tuned.values()
    names = {name for name in file_systems.files_below(local) if "tfevents" not in name}
    there = set(file_systems.files_below(url))
    assert names == {name for name in there if "tfevents" not in name}
    assert "checkpoints/checkpoint" in there and not any("trial_0/checkp" in it for it in there)
    for name in names - {"config.json"}:
        if name.endswith("metrics.jsonl"):
            assert lines_of(f"{local}/{name}"[:-14]) == lines_of(f"{url}/{name}"[:-14]) != []
        elif "checkpoints/" not in name:
            content = file_systems.read_bytes(f"{url}/{name}")
            assert content == file_systems.read_bytes(f"{local}/{name}"), name
    weights, others = weights_of(local), weights_of(url)
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)
    part = copy(url, "tuned", "checkpoints/checkpoint")
    assert electra_tf.load(part)  # the list alone is lost, which is no harm
    with pytest.raises(UserError, match="must be a checkpoint.*which has none"):
        electra_tf.load(copy(url, "part", "ckpt-"))
    with pytest.raises(UserError, match="fine-tuning must be complete.*without checkpoints/"):
        electra_tf.load(copy(url, "begun", "checkpoints/"))


@pytest.mark.slow
def test_an_export_answers_as_a_local_one(places, tuned):
    answers = []
    for name, place in places.items():
        path = electra_tf.export(tuned[name], f"{place}/serving")
        assert path == f"{place}/serving/1"
        answers.append(answers_of(path))
        assert set(file_systems.names(f"{place}/serving")) - {".lock"} == {"1"}
    for name, value in answers[0].items():
        np.testing.assert_array_equal(value, answers[1][name], err_msg=name)
    local, url = (set(file_systems.files_below(f"{place}/serving/1")) for place in places.values())
    assert local == url and {"saved_model.pb", "model_card.json"} < url
    # What is there in part is no bundle, and may be replaced.
    serving, part = f"{places['url']}/serving", f"{places['url']}/serving/1"
    file_systems.remove(f"{part}/saved_model.pb")
    with pytest.raises(UserError, match="must be a directory with saved_model.pb"):
        contents.read_bundle(part)
    with pytest.raises(UserError, match="new or an empty directory. Received: ram:"):
        electra_tf.export(tuned["url"], serving, version=1)
    assert electra_tf.export(tuned["url"], serving, version=1, overwrite=True) == part
    assert contents.structure_problems(contents.read_bundle(part)) == []
    for name, value in answers_of(part).items():
        np.testing.assert_array_equal(value, answers[0][name], err_msg=name)


def answers_of(bundle: str) -> dict[str, np.ndarray]:
    """What the default signature answers to two texts."""
    signature = tf.saved_model.load(bundle).signatures["serving_default"]
    ((name, _),) = signature.structured_input_signature[1].items()
    found = signature(**{name: tf.constant(["word1 word2", "word3 nothing known"])})
    assert found
    return {key: value.numpy() for key, value in found.items()}


def test_the_best_trial_is_kept_whatever_interrupts(monkeypatch):
    """At a URL, where no folder can be renamed: the next call finishes what one has begun."""
    run = "ram://best/run"
    for number in (0, 1):
        folder = f"{run}/trial_{number}"
        value = np.full([2], number, np.float32)
        model_directory.write_weights({"a": value}, 7, f"{folder}/checkpoints")
        files.write_text(f"{folder}/predictions/dev.jsonl", f"{number}")

    class Killed(BaseException):
        pass

    def killed(*arguments):
        raise Killed

    stages = []
    for name in ("copy_tree", "remove_tree", "remove"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(file_systems, name, killed)
            finetuning._keep_best(1, 2, run)
        stages.append(file_systems.exists(f"{run}/checkpoints/checkpoint"))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(finetuning, "_copy_weights", killed)
        finetuning._keep_best(1, 2, run)
    assert not file_systems.exists(f"{run}/checkpoints/checkpoint")
    assert stages == [False, False, True]

    removed = []
    real = file_systems.remove_tree

    def killed_at_last(path):
        removed.append(path)
        if path == f"{run}/trial_1/checkpoints":
            file_systems.remove(f"{path}/ckpt-7.index")  # a part
            raise Killed
        real(path)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(file_systems, "remove_tree", killed_at_last)
        finetuning._keep_best(1, 2, run)
    finetuning._keep_best(1, 2, run)
    assert file_systems.read_bytes(f"{run}/predictions/dev.jsonl") == b"1"
    saved = SavedWeights(f"{run}/checkpoints")
    assert saved.step == 7 and saved.read("a").tolist() == [1.0, 1.0]
    assert not any("trial_" in name and "ckpt" in name for name in file_systems.files_below(run))


def test_a_copied_directory_has_its_mark_last(tmp_path, monkeypatch):
    for name in ("a", "card", "mark", "z/z"):
        files.write_text(str(tmp_path / name), name)
    copied = []
    monkeypatch.setattr(file_systems, "copy_file", lambda source, target: copied.append(target))
    file_systems.copy_tree(str(tmp_path), "ram://copied", first="card", last="mark")
    assert [path.removeprefix("ram://copied/") for path in copied] == ["card", "a", "z/z", "mark"]
