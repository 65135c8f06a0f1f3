"""What people do to a pipeline's root between two runs: remove, damage, move, restore."""

import os
import pathlib
import shutil
import time

import pytest

pytest.importorskip("tfx.orchestration", reason="the TFX tests run in .venv-tfx")

import tiny_pipelines
from ml_metadata.proto import metadata_store_pb2

from electra_tf.tfx.runners import local as local_runner
from electra_tf.tfx.runners.executions import open_store, summaries
from tests.tfx import toy_components

CACHED = {"Writer": "CACHED", "Copier": "CACHED"}
COMPLETE = {"Writer": "COMPLETE", "Copier": "COMPLETE"}


@pytest.fixture
def toy(tmp_path):
    return toy_components.Toy(tmp_path / "root")


class Pushed:
    """The pipeline that pushes, in a folder of its own."""

    def __init__(self, root: pathlib.Path):
        self.root, self.serving = root, root / "serving"

    def run(self, text: str = "first") -> dict[str, str]:
        while self.serving.exists() and str(int(time.time())) in os.listdir(self.serving):
            time.sleep(0.1)  # Pusher names versions by the second
        return local_runner.run(
            toy_components.pushing_pipeline(str(self.root), text), str(self.root)
        )

    def versions(self) -> dict[str, str]:
        return {
            path.name: (path / "saved_model.pb").read_text()
            for path in sorted(self.serving.iterdir())
        }

    def output(self, node: str, key: str) -> pathlib.Path:
        folder = self.root / "pipeline" / node / key
        return max(folder.iterdir(), key=lambda path: int(path.name))

    def compared_with(self) -> str:
        return (self.output("Judge", "blessing") / "BLESSED").read_text()


@pytest.fixture
def pushed(tmp_path):
    return Pushed(tmp_path / "root")


def remove_folder(toy):
    shutil.rmtree(toy.root / "pipeline" / "Writer" / "model" / "1")


def remove_file(toy):
    (toy.root / "pipeline" / "Writer" / "model" / "1" / "text.txt").unlink()


def cut_file(toy):
    (toy.root / "pipeline" / "Writer" / "model" / "1" / "text.txt").write_text("wh")


@pytest.mark.parametrize("damage", [remove_folder, remove_file, cut_file])
def test_an_output_that_is_not_as_it_was_left_is_made_again(toy, damage, caplog, logged):
    toy.run()
    damage(toy)
    assert toy.run() == COMPLETE
    (line,) = logged()
    assert "Writer: its output must be as it was left" in line and "Writer/model/1" in line
    assert toy.copies() == {"2": "whole", "4": "whole"}
    caplog.clear()
    assert toy.run() == CACHED and not logged()


def test_a_cached_result_whose_outputs_are_there_stays_so_with_foreign_files(toy, logged):
    toy.run()
    (toy.root / "pipeline" / "Copier" / "copy" / "2" / "notes.md").write_text("mine")
    assert toy.run() == CACHED and not logged()


def test_an_output_that_is_put_back_is_known_again(toy):
    toy.run()
    output = toy.root / "pipeline" / "Copier" / "copy" / "2"
    output.rename(toy.root / "aside")
    with pytest.raises(ValueError, match=r"^Copier: "):
        toy.run("refuse")
    (toy.root / "aside").rename(output)
    assert toy.run("refuse") == CACHED  # and is not asked to do its work


def test_a_removed_serving_directory_is_pushed_again(pushed, caplog):
    pushed.run()
    assert list(pushed.versions().values()) == ["first"]
    shutil.rmtree(pushed.serving)
    assert pushed.run()["Pusher"] == "COMPLETE"
    assert "Pusher: its output must be as it was left" in caplog.text
    assert list(pushed.versions().values()) == ["first"]
    assert pushed.run()["Pusher"] == "CACHED"
    assert len(pushed.versions()) == 1


@pytest.mark.parametrize("name", ["saved_model.pb", "assets/vocab.txt"])
def test_a_version_that_lacks_a_file_is_pushed_again(pushed, name):
    pushed.run()
    (old,) = pushed.versions()
    (pushed.serving / old / name).unlink()
    assert pushed.run()["Pusher"] == "COMPLETE"
    new = max(os.listdir(pushed.serving))
    assert new > old and (pushed.serving / new / name).read_text() == "first"


def test_a_version_that_a_killed_push_has_left_is_removed(pushed):
    """A server would choose it, as the newest, and find no model."""
    pushed.run()
    (half,) = pushed.versions()
    (pushed.serving / half / "saved_model.pb").unlink()
    (pushed.serving / "1").mkdir()  # not of that push
    store = open_store(local_runner.metadata_file(str(pushed.root)))
    killed = max(store.get_executions(), key=lambda item: item.id)
    killed.last_known_state = metadata_store_pb2.Execution.RUNNING
    store.put_executions([killed])
    assert pushed.run()["Pusher"] == "COMPLETE"
    old, new = sorted(os.listdir(pushed.serving))
    assert old == "1" and new > half and (pushed.serving / new / "saved_model.pb").exists()


def test_a_removed_blessing_is_given_again_by_the_same_comparison(pushed):
    pushed.run("first")
    pushed.run("second")
    shutil.rmtree(pushed.output("Judge", "blessing"))
    states = pushed.run("second")
    assert states["Exporter"] == "CACHED" and states["Judge"] == "COMPLETE"
    assert pushed.compared_with() == "first"


def test_a_blessed_model_that_is_gone_is_no_baseline(pushed, caplog):
    """Neither one of several that is the last, nor the only one."""
    pushed.run("first")
    first = pushed.output("Exporter", "servable")
    pushed.run("second")
    assert pushed.compared_with() == "first"
    second = pushed.output("Exporter", "servable")
    shutil.rmtree(second)
    assert pushed.run("third")["Pusher"] == "COMPLETE"
    assert pushed.compared_with() == "first"
    told = "The last blessed model must be as it was left, to be compared with. Received: "
    assert f"{told}{second}, removed or changed; the baseline is {first}" in caplog.text
    for folder in first.parent.iterdir():
        (folder / "Format-Serving" / "assets" / "vocab.txt").unlink(missing_ok=True)
    pushed.run("fourth")
    assert pushed.compared_with() == ""
    assert "removed or changed; the baseline is none" in caplog.text
    assert list(pushed.versions().values()) == ["first", "second", "third", "fourth"]


def test_outputs_without_their_metadata_stay_and_all_runs_anew(toy, caplog, logged):
    toy.run()
    os.remove(toy.store)
    assert toy.run(text="new") == COMPLETE
    assert "metadata.sqlite does not know the newest outputs" in caplog.text
    caplog.clear()
    assert toy.copies() == {"2": "whole", "4": "new"}
    assert toy.run(text="new") == CACHED and not logged()


def test_a_store_that_was_put_back_does_not_give_its_numbers_twice(toy):
    toy.run()
    shutil.copy(toy.store, f"{toy.store}.bak")
    toy.run(text="later")
    os.replace(f"{toy.store}.bak", toy.store)
    assert toy.run(text="again") == COMPLETE
    assert toy.copies() == {"2": "whole", "4": "later", "6": "again"}


@pytest.mark.parametrize("size", [100, 60_000])
def test_a_damaged_store_is_one_line(toy, size):
    toy.run()
    content = pathlib.Path(toy.store).read_bytes()
    pathlib.Path(toy.store).write_bytes(b"#" * size + content[size : len(content) // 2])
    with pytest.raises(ValueError, match="^A metadata store must be whole. Received: ") as caught:
        toy.run()
    assert toy.store in str(caught.value) and "remove it" in str(caught.value)
    assert "\n" not in str(caught.value)
    os.remove(toy.store)  # as it says
    assert toy.run() == COMPLETE


def test_an_empty_store_knows_nothing(toy):
    toy.run()
    pathlib.Path(toy.store).write_bytes(b"")
    assert toy.run() == COMPLETE
    assert toy.copies() == {"2": "whole", "4": "whole"}


@pytest.mark.parametrize("move", [os.rename, shutil.copytree])
def test_a_moved_root_reads_nothing_from_its_old_place(pushed, move, tmp_path, logged):
    pushed.run("first")
    move(pushed.root, tmp_path / "elsewhere")
    old, moved = pushed.root, Pushed(tmp_path / "elsewhere")
    moved.run("second")
    assert moved.compared_with() == "first"
    (line,) = logged()
    assert line.startswith(f"Outputs of {old}/pipeline were found in {moved.root}/pipeline")
    shutil.rmtree(old, ignore_errors=True)
    assert moved.run("first")["Exporter"] == "CACHED"
    assert moved.run("first")["Judge"] == "CACHED"
    assert not old.exists()


def test_a_root_by_another_name_is_the_same(toy, tmp_path, logged):
    toy.run()
    (tmp_path / "link").symlink_to(toy.root)
    assert toy_components.Toy(tmp_path / "link").run() == CACHED and not logged()


def test_the_root_is_a_file(toy):
    toy.root.write_text("")
    with pytest.raises(ValueError, match="^--root must be a directory. Received: .*root$"):
        toy.run()


@pytest.mark.slow
def test_a_pre_training_pipeline_replaces_what_was_removed(corpus, tmp_path):
    """Half of the blessed model and all that was pushed."""
    root = tmp_path / "root"
    command = tiny_pipelines.command(corpus, root)
    tiny_pipelines.run(command)
    model = root / "pipeline" / "ElectraPretrainer" / "model"
    (first,) = model.iterdir()
    shutil.rmtree(first / "checkpoints")
    shutil.rmtree(root / "serving")

    result = tiny_pipelines.run(command)
    data = {"ElectraExampleGen", "StatisticsGen", "PretrainingSchemaGen", "ExampleValidator"}
    states = summaries(f"{root}/metadata.sqlite")[1]
    assert {node for node, state in states.items() if state == "CACHED"} == data
    assert f"Received: {first}, removed or changed; the baseline is none" in result.stderr
    second = max(model.iterdir(), key=lambda path: int(path.name))
    (version,) = (root / "serving").iterdir()
    assert (second / "checkpoints").is_dir() and (version / "saved_model.pb").exists()
