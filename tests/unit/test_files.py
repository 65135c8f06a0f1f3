"""Files and directories are complete or not there at all."""

import os

import pytest

from electra_tf import files


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
