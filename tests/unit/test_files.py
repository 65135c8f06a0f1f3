"""Files and directories are complete or not there at all, and nothing of the user's is replaced."""

import errno
import os
import subprocess
import sys

import pytest

from electra_tf import file_systems, files, locks
from electra_tf.errors import UserError

THING = files.Kind("a thing", "thing.json", (r"part-\d+", r"sub/[a-z]"))


def write_thing(path, content: str = "{}", **settings) -> None:
    with files.new_directory(str(path), **settings) as folder:
        files.write_text(os.path.join(folder, "thing.json"), content)
        files.write_text(os.path.join(folder, "part-1"), content)


def refused(path, *arguments, **settings) -> str:
    with pytest.raises(UserError) as caught:
        files.output(path, *arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_replaced_in_one_move(tmp_path):
    path = str(tmp_path / "new" / "out.txt")
    files.write_text(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "a" * 100_000 + "\ud800")
    with open(path, "rb") as file:
        assert file.read() == b"old\n"
    files.write_text(path, "né\n")
    with open(path, "rb") as file:
        assert file.read() == "né\n".encode()
    assert os.listdir(tmp_path / "new") == ["out.txt"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere" / "target")
    files.write_text(str(tmp_path / "out"), "new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "elsewhere" / "target").read_text() == "new"
    assert os.listdir(tmp_path / "elsewhere") == ["target"]


def test_a_file_of_the_user_that_looks_temporary_stays(tmp_path):
    (tmp_path / "out.tmp").write_text("mine")
    files.write_text(str(tmp_path / "out"), "new")
    assert (tmp_path / "out.tmp").read_text() == "mine"


def test_a_directory_appears_when_all_went_well(tmp_path):
    path = tmp_path / "above" / "out"
    with files.new_directory(str(path)) as folder:
        files.write_text(os.path.join(folder, "a"), "b")
        assert not path.exists()
    assert os.listdir(path) == ["a"] and os.listdir(tmp_path / "above") == ["out"]
    assert path.stat().st_mode & 0o777 == (tmp_path / "above").stat().st_mode & 0o777

    with pytest.raises(KeyError), files.new_directory(str(tmp_path / "failed")) as folder:
        files.write_text(os.path.join(folder, "a"), "b")
        raise KeyError
    assert os.listdir(tmp_path) == ["above"]


def test_what_is_there_stays(tmp_path):
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    full.mkdir()
    (full / "old").touch()
    file.touch()
    with files.new_directory(str(empty)) as folder:
        files.write_text(os.path.join(folder, "a"), "b")
    assert os.listdir(empty) == ["a"]
    for path in (full, file):
        with pytest.raises(ValueError, match=f"must be a new or an empty directory. .*{path.name}"):
            files.require_new(str(path))
    assert os.listdir(full) == ["old"]


def test_what_came_meanwhile_stays(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(UserError, match="new or an empty"), files.new_directory(str(path)):
        path.mkdir()
        (path / "the other's").touch()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(path) == ["the other's"]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_directory_is_replaced_by_its_kind_alone(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(file_systems.ctypes, "CDLL", lambda name: None)
    path = tmp_path / "out"
    write_thing(path, "old", replaced=THING)
    write_thing(path, "new", replaced=THING)
    assert (path / "thing.json").read_text() == (path / "part-1").read_text() == "new"
    (path / "notes.md").touch()
    with pytest.raises(UserError, match=r"a thing and nothing else.*also holds notes\.md"):
        write_thing(path, "newer", replaced=THING)
    assert sorted(os.listdir(path)) == ["notes.md", "part-1", "thing.json"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_killed_process_leaves_what_the_next_call_removes(tmp_path):
    """And a living one keeps what it works on."""
    program = (
        "import os, sys\nfrom electra_tf import files\n"
        f"with files.new_directory({str(tmp_path / 'out')!r}) as folder:\n"
        "    open(os.path.join(folder, 'half'), 'w').close()\n"
        "    print(flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        (half,) = os.listdir(tmp_path)
        assert half.startswith(".out.") and half.endswith(".tmp")
        files.write_text(str(tmp_path / "out"), "while it works")
        assert sorted(os.listdir(tmp_path)) == [half, "out"]
    finally:
        process.kill()
        process.communicate()
    (tmp_path / ".output.12345678.tmp").mkdir()  # of another output
    files.write_text(str(tmp_path / "out"), "after it")
    assert sorted(os.listdir(tmp_path)) == [".output.12345678.tmp", "out"]
    (tmp_path / ".out.12345678.tmp").mkdir()  # of a process killed after it had published "out"
    with pytest.raises(UserError, match="must not exist yet"):
        files.output(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [".output.12345678.tmp", "out"]


def test_an_input_is_no_output(tmp_path):
    data, link = tmp_path / "data", tmp_path / "link"
    data.mkdir()
    (data / "in.txt").touch()
    link.symlink_to(data)
    (tmp_path / "in.txt").symlink_to(data / "in.txt")
    source = data / "in.txt"
    for path in (source, tmp_path / "in.txt", link / "in.txt", data / ".." / "data" / "in.txt"):
        for overwrite in (False, True):
            assert "it is the input" in refused(path, inputs=[source], overwrite=overwrite)
            assert "it is the input" in refused(source, inputs=[path], overwrite=overwrite)
    for path in (data, link, tmp_path, f"{data}/", "/"):
        assert "contains the input" in refused(path, THING, inputs=[source], overwrite=True)
    assert "lies in the input" in refused(link / "new", THING, inputs=[data])
    assert "lies in the input" in refused(link / "in.txt", inputs=[data], overwrite=True)
    assert files.output(data / "new.txt", inputs=[data]) == str(data / "new.txt")
    assert files.output(data / "new", THING, inputs=[source]) == str(data / "new")
    assert files.output(tmp_path / "data2", THING, inputs=[data]) == str(tmp_path / "data2")


def test_what_is_there_needs_overwrite(tmp_path):
    file, thing = tmp_path / "file", tmp_path / "thing"
    file.touch()
    write_thing(thing)
    assert "must not exist yet" in refused(file) and "--overwrite" in refused(file)
    assert files.output(file, overwrite=True) == str(file)
    assert "new or an empty directory" in refused(thing, THING)
    assert "new or an empty directory" in refused(file, THING, overwrite=True)
    assert files.output(thing, THING, overwrite=True) == str(thing)
    assert "must be a file" in refused(thing, overwrite=True)
    assert "must be a file" in refused(f"{tmp_path / 'new'}/")
    assert "a device" in refused("/dev/null", overwrite=True)
    (thing / "sub").mkdir()
    (thing / "sub" / "a").touch()
    assert files.output(thing, THING, overwrite=True) == str(thing)
    (thing / "sub" / "1").touch()
    assert refused(thing, THING, overwrite=True).endswith("which also holds sub/1")
    os.remove(thing / "thing.json")
    assert refused(thing, THING, overwrite=True).endswith("which has no thing.json")


def test_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert "lie in a directory" in refused(tmp_path / "file" / "a" / "out")
    assert "at most 240 bytes" in refused(tmp_path / ("é" * 121))
    for path in ("", "gs://bucket/out", "~nobody-of-this-name/out"):
        assert "on this machine" in refused(path)
    monkeypatch.setattr(files.os, "access", lambda path, mode: path != str(tmp_path))
    assert f"{tmp_path} is read-only" in refused(tmp_path / "new" / "out")
    assert os.listdir(tmp_path) == ["file"]


def test_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.output("~/out") == files.expand("~/out") == str(tmp_path / "out")
    assert files.expand("gs://bucket/~") == "gs://bucket/~" and files.expand("a/~") == "a/~"


def test_a_workdir_is_new_or_a_runs(tmp_path):
    run, data = tmp_path / "run", tmp_path / "data"
    data.mkdir()
    assert files.workdir(run, [str(data)], ["checkpoints"]) == str(run)
    run.mkdir()
    (run / "log.txt").touch()
    assert files.workdir(run, [""], ["checkpoints"]) == str(run)
    (run / "checkpoints").mkdir()
    with pytest.raises(UserError, match="without it, but with checkpoints"):
        files.workdir(run, [], ["checkpoints"])
    (run / "config.json").touch()
    assert files.workdir(run, [], ["checkpoints"]) == str(run)
    with pytest.raises(UserError, match="leave the inputs alone"):
        files.workdir(f"{data}/", [str(data)], [])
    with pytest.raises(UserError, match="must be a directory"):
        files.workdir(run / "log.txt", [], [])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "part"),
        RuntimeError("of a library, over\nlines: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_about_the_output(tmp_path, error):
    for writer in (files.new_file, files.new_directory):
        with pytest.raises(UserError, match=f"room for .* Received: {tmp_path / 'out'} \\("):
            with writer(str(tmp_path / "out")):
                raise error
    assert os.listdir(tmp_path) == []


def test_errors_name_the_output_and_not_the_temporary_file(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write_text(str(tmp_path / "out"), "text")
    assert caught.value.filename == str(tmp_path / "out") and ".tmp" not in str(caught.value)


def test_a_lock_is_not_needed_where_there_is_none(tmp_path, monkeypatch):
    def without_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", without_locks)
    (tmp_path / ".out.12345678.tmp").mkdir()  # perhaps of a living process
    files.write_text(str(tmp_path / "out"), "text")
    with files.one_writer(str(tmp_path)):
        assert (tmp_path / ".lock").exists()
    assert sorted(os.listdir(tmp_path)) == [".out.12345678.tmp", "out"]
