"""Outputs that would destroy something, lie where nothing can be, or are not finished.

Which paths may be written is decided by `files.output` (tests/unit/test_files.py); here every
function and command asks it before any work, and nothing of a stopped or failed one is left.
"""

import json
import os
import pathlib
import shutil
import signal
import sys

import pytest
import small_disks
import tensorflow as tf
import tiny_runs
import tiny_tasks

from electra_tf.config import Config, FinetuneConfig, TrainConfig
from electra_tf.conversion import convert
from electra_tf.data.build import build_dataset
from electra_tf.errors import UserError
from electra_tf.runs import evaluation, finetuning, prediction, pretraining
from electra_tf.serving import bundle, lite, network_files, onnx_files
from electra_tf.text.learn import learn_vocab
from electra_tf.train.checkpoint import Checkpoints
from electra_tf.train.loop import enough_memory

TEXT = "the model of the data\n\nwords and tokens of the network\n" * 20


@pytest.fixture
def corpus(tmp_path, tiny_vocab_file):
    """A user's folder: corpus, vocabulary and notes."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "corpus.txt").write_text(TEXT)
    (folder / "notes.md").write_text("mine")
    shutil.copyfile(tiny_vocab_file, folder / "vocab.txt")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    return tiny_tasks.write_model(tmp_path_factory.mktemp("model") / "model", tiny_vocab_file)


def contents(folder) -> dict[str, bytes | None]:
    """All that is below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(pathlib.Path(folder).rglob("*"))
    }


def build(corpus, output, **settings):
    return build_dataset(
        [str(corpus / "corpus.txt")], corpus / "vocab.txt", output, seq_length=16, **settings
    )


def quiet_convert(source, output, output_format="electra_tf", **settings):
    convert(str(source), "electra_tf", output, output_format, say=lambda line: None, **settings)


def test_overwrite_spares_the_corpus(corpus, tmp_path, monkeypatch):
    before = contents(tmp_path)
    monkeypatch.chdir(corpus)
    (tmp_path / "link").symlink_to(corpus)
    for output in (corpus, ".", "..", tmp_path / "link", f"{corpus}/../data/", "corpus.txt"):
        with pytest.raises(UserError, match="must leave the inputs alone"):
            build(corpus, output, overwrite=True)
    os.remove(tmp_path / "link")
    assert contents(tmp_path) == before


def test_overwrite_replaces_a_data_set_alone(corpus, tmp_path):
    output = tmp_path / "shards"
    build(corpus, output)
    before = contents(output)
    build(corpus, output, seed=1, overwrite=True)
    after = contents(output)
    assert after != before and after.keys() == before.keys()
    (output / "notes.md").touch()
    with pytest.raises(UserError, match=r"a data set and nothing else.* also holds notes\.md"):
        build(corpus, output, overwrite=True)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").touch()
    with pytest.raises(UserError, match=r"which has no dataset\.json"):
        build(corpus, tmp_path / "pictures", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["data", "pictures", "shards"]


def test_a_vocabulary_does_not_replace_its_text(corpus, tmp_path):
    (tmp_path / "other").mkdir()
    for output in (corpus / "corpus.txt", f"{corpus}/../data/corpus.txt"):
        with pytest.raises(UserError, match="it is the input"):
            learn_vocab([f"{corpus}/*.txt"], output, vocab_size=100, overwrite=True)
    with pytest.raises(UserError, match="must be a file. Received: .*, a directory"):
        learn_vocab([f"{corpus}/*.txt"], tmp_path / "other", vocab_size=100, overwrite=True)
    assert (corpus / "corpus.txt").read_text() == TEXT


def test_predictions_are_refused_before_any_work(model, tmp_path):
    """The model is none that could predict: its turn never comes."""
    source, old = tmp_path / "new.csv", tmp_path / "old.jsonl"
    source.write_text("text\nthe model\n")
    old.write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(source)
    before = contents(tmp_path)
    for output, rule in (
        (source, "it is the input"),
        (tmp_path / "link", "it is the input"),
        (old, "must not exist yet"),
        (tmp_path / "folder", "must be a file"),
        (tmp_path, "it contains the input"),
        (old / "below", "must lie in a directory"),
    ):
        with pytest.raises(UserError, match=rule):
            prediction.predict(model, str(source), str(output))
    for output in (source, f"{model}/vocab.txt"):
        with pytest.raises(UserError, match="must leave the inputs alone"):
            prediction.predict(model, str(source), str(output), overwrite=True)
    assert contents(tmp_path) == before
    with pytest.raises(UserError, match="files of a task are for a fine-tuned model"):
        prediction.predict(model, str(source), str(old), overwrite=True)
    assert old.read_text() == "old"


def test_models_are_replaced_by_models_alone(model, tmp_path):
    output = tmp_path / "out"
    for output_format in ("electra_tf", "google", "electra_tf", "huggingface", "google"):
        quiet_convert(model, str(output), output_format, overwrite=True)
    names = {name.partition(".")[0] for name in os.listdir(output)}
    assert names == {"checkpoint", "config", "model", "vocab"}
    with pytest.raises(UserError, match="new or an empty directory.*--overwrite"):
        quiet_convert(model, str(output))
    (output / "metrics.jsonl").touch()
    with pytest.raises(UserError, match=r"a converted model and nothing .* metrics\.jsonl"):
        quiet_convert(model, str(output), overwrite=True)
    before = contents(model)
    for path in (model, f"{model}/new", os.path.dirname(model)):
        with pytest.raises(UserError, match="must leave the inputs alone"):
            quiet_convert(model, path, overwrite=True)
    assert contents(model) == before


def test_exported_files(model, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "_load", lambda *_: pytest.fail("work has begun"))
    monkeypatch.setattr(network_files, "_network", lambda *_: pytest.fail("work has begun"))
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "notes.md").touch()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="new or an empty directory"):
        bundle.export_run(model, str(tmp_path), 3)
    with pytest.raises(UserError, match=r"a bundle .* which has no model_card\.json"):
        bundle.export_run(model, str(tmp_path), 3, overwrite=True)
    with pytest.raises(UserError, match="must be a directory. Received: .*, a file"):
        bundle.export_run(model, str(tmp_path / "file"))
    with pytest.raises(UserError, match="must leave the inputs alone"):
        bundle.export_run(model, f"{model}/")
    (tmp_path / "lite").mkdir()
    for name in ("report.json", "electra_float32.tflite"):
        (tmp_path / "lite" / name).touch()
    for export, runtime in ((lite.export_lite, "TFLite"), (onnx_files.export_onnx, "ONNX")):
        with pytest.raises(UserError, match=f"{runtime} files .* which has no report.json"):
            export(model, str(tmp_path / "3"), overwrite=True)
        with pytest.raises(UserError, match="new or an empty directory.*--overwrite"):
            export(model, str(tmp_path / "lite"))
        with pytest.raises(UserError, match="must leave the inputs alone"):
            export(model, f"{model}/", overwrite=True)
    with pytest.raises(UserError, match="ONNX files .* also holds electra_float32.tflite"):
        onnx_files.export_onnx(model, str(tmp_path / "lite"), overwrite=True)


def test_an_evaluation_does_not_replace_a_file(model, tmp_path):
    (tmp_path / "mine.json").write_text("mine")
    for output in (tmp_path / "mine.json", tmp_path):
        with pytest.raises(UserError, match="The output must"):
            evaluation.evaluate(model, output=str(output))
    assert (tmp_path / "mine.json").read_text() == "mine"


def test_a_workdir_with_files_of_the_user(tmp_path, model):
    config = FinetuneConfig()
    config.init_from, config.data.dir = model, str(tmp_path)
    with pytest.raises(UserError, match="must leave the inputs alone"):
        finetuning.finetune(config, f"{tmp_path}/")
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "mine").touch()
    config.data.dir = ""
    with pytest.raises(UserError, match="new or a run's, with config.json.*but with predictions"):
        finetuning.finetune(config, str(tmp_path))
    with pytest.raises(UserError, match="must be a directory"):
        pretraining.pretrain(Config(), str(tmp_path / "predictions" / "mine"))
    assert os.listdir(tmp_path / "predictions") == ["mine"]


def test_the_home_directory_everywhere(corpus, model, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    corpus.rename(home / "data")
    shutil.copytree(model, home / "model")
    dataset = build_dataset(["~/data/*.txt"], "~/data/vocab.txt", "~/shards", seq_length=16)
    assert [entry["name"] for entry in dataset["inputs"]] == ["corpus.txt", "vocab.txt"]
    quiet_convert("~/model", "~/copy", vocab="~/data/vocab.txt")
    assert sorted(os.listdir(home)) == ["copy", "data", "model", "shards"]
    assert os.listdir(tmp_path) == ["home"]
    config = Config()
    config.data.dir, config.data.vocab_file, config.init_from = "~/a", "gs://b/~", "~/m"
    config.validate()
    assert config.data.dir == f"{home}/a" and config.data.vocab_file == "gs://b/~"
    assert config.init_from == f"{home}/m"
    tuning = FinetuneConfig()
    tuning.init_from, tuning.data.dir, tuning.data.train_file = "random:~/m", "tfds:x", "~/t.csv"
    tuning.validate()
    assert tuning.init_from == f"random:{home}/m" and tuning.data.dir == "tfds:x"
    assert tuning.data.train_file == f"{home}/t.csv"


@pytest.fixture
def disk(tmp_path):
    """A file system of 2 MiB in memory."""
    with small_disks.mounted(tmp_path / "disk", 2) as folder:
        yield folder


def fill(folder, but: int) -> None:
    """Leaves so many bytes."""
    free = shutil.disk_usage(folder).free - but
    (folder / "filler").write_bytes(bytes(free))


def test_a_batch_that_is_too_large_for_the_device():
    with pytest.raises(UserError) as caught, enough_memory(TrainConfig().batch_sizes().at(0)):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [9, 9]\nat step")
    assert "\n" not in str(caught.value) and "[9, 9]" in str(caught.value)
    assert "Received: config.train.batch_size 128; take a smaller one" in str(caught.value)


class State:
    """Stands in for a TrainState of 400 kB."""

    def __init__(self):
        self.step, self.weight = tf.Variable(0, dtype=tf.int64), tf.Variable(tf.zeros([100_000]))

    def variables(self):
        return {"step": self.step, "weight": self.weight}


def test_a_full_disk_leaves_the_last_checkpoint(disk):
    folder = str(disk / "checkpoints")
    state = State()
    checkpoints = Checkpoints(folder, state, keep=2)
    state.step.assign(1)
    checkpoints.save()
    checkpoints.wait()
    before = contents(folder)
    fill(disk, but=100_000)
    state.step.assign(2)
    with pytest.raises(UserError) as caught:
        checkpoints.save()
        checkpoints.wait()
    assert str(caught.value) == (
        f"There must be room for a checkpoint. Received: {folder} (No space left on device); the "
        "same command goes on from ckpt-1"
    )
    assert contents(folder) == before
    os.remove(disk / "filler")
    state = State()
    checkpoints = Checkpoints(folder, state, keep=2)
    assert checkpoints.restore_latest() == 1
    state.step.assign(2)
    checkpoints.save()
    checkpoints.wait()
    assert {"ckpt-1.index", "ckpt-2.index"} < set(os.listdir(folder))


def test_a_full_disk_leaves_no_half_output(corpus, model, disk):
    fill(disk, but=20_000)
    for write in (
        lambda: build(corpus, disk / "out", keep_leftovers=True),
        lambda: quiet_convert(model, str(disk / "out")),
        lambda: quiet_convert(model, str(disk / "out"), "google"),
        lambda: quiet_convert(model, str(disk / "out"), "huggingface"),
        lambda: learn_vocab([str(corpus / "corpus.txt")], disk / "out", vocab_size=300),
    ):
        (corpus / "corpus.txt").write_text(TEXT * 40)
        with pytest.raises(UserError) as caught:
            write()
        assert "\n" not in str(caught.value)
        assert f"Received: {disk / 'out'} (No space left on device)" in str(caught.value)
        assert os.listdir(disk) == ["filler"]


PROGRAM = """
import os, sys, time
from electra_tf import command, files

OUTPUT = command.define_path("output", None, "Directory.")

def main(argv):
    with files.new_directory(OUTPUT.value) as folder:
        open(os.path.join(folder, "half"), "w").close()
        print("at work", flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt as error:  # as libraries do
            if "wrapped" in argv:
                raise RuntimeError("a\\nb") from error
            raise

command.run(main, tensorflow=False)
"""


@pytest.mark.parametrize("argument", ["plain", "wrapped"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_and_leaves_nothing(tmp_path, number, argument):
    program = [sys.executable, "-c", PROGRAM, f"--output={tmp_path / 'out'}", argument]
    with tiny_runs.start(program) as process:
        assert process.stdout is not None and process.stdout.readline() == "at work\n"
        process.send_signal(number)
        process.send_signal(number)  # a shell and a wrapper both send it
        result = tiny_runs.finish(process, 128 + number)
    assert result.stderr == f"interrupted by {number.name}\n"
    assert not os.listdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped(corpus, tmp_path, number):
    """While TensorFlow starts, and with workers of its own."""
    convert_command = ["convert", "--input=x", "--input_format=google", f"--output={tmp_path}/new"]
    with tiny_runs.start([sys.executable, "-m", "electra_tf", *convert_command]) as process:
        modules = pathlib.Path(f"/proc/{process.pid}/maps")
        tiny_runs.wait_for(lambda: "tensorflow" in modules.read_text(), process)
        process.send_signal(number)
        assert tiny_runs.finish(process, 128 + number).stderr == f"interrupted by {number.name}\n"
    (corpus / "corpus.txt").write_text(TEXT * 20_000)
    build_command = ["build_dataset", f"--input={corpus}/corpus.txt", f"--vocab={corpus}/vocab.txt"]
    build_command += [f"--output_dir={tmp_path / 'out'}", "--num_workers=2"]
    with tiny_runs.start([sys.executable, "-m", "electra_tf", *build_command]) as process:
        tiny_runs.wait_for(lambda: list(tmp_path.glob(".out.*.tmp/parts/*")), process)
        process.send_signal(number)
        result = tiny_runs.finish(process, 128 + number)
    assert result.stderr.splitlines()[-1] == f"interrupted by {number.name}"
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == ["data"]
    children = pathlib.Path("/proc").glob("[0-9]*/cmdline")
    ours = [path for path in children if str(tmp_path).encode() in _content(path)]
    assert not ours


def _content(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["benchmark", "check"])
def test_a_report_does_not_replace_a_file(tmp_path, name):
    (tmp_path / "old.json").write_text(json.dumps("mine"))
    arguments = {
        "benchmark": ["--config=configs/electra_tiny.py", f"--output={tmp_path}/old.json"],
        "check": [f"{tmp_path}/none", f"--json={tmp_path}/old.json"],
    }
    result = tiny_runs.run([sys.executable, "-m", "electra_tf", name, *arguments[name]], code=1)
    assert result.stderr.startswith("error: The output must not exist yet.")
    assert (tmp_path / "old.json").read_text() == json.dumps("mine")
