"""What a build of a dataset shows where nobody watches: plain lines, and few of them."""

import time

from electra_tf.data import progress


def run(tmp_path, seconds):
    sources, parts = tmp_path / "sources", tmp_path / "parts"
    sources.mkdir()
    parts.mkdir()
    with progress.progress_line(str(sources), str(parts), num_sources=1):
        progress.write_result(str(sources), "a", {"bytes": 4000})
        progress.write_result(str(parts), "a-0", {"bytes": 1000, "words": 200})
        time.sleep(seconds)


def test_a_log_gets_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    run(tmp_path, seconds=0.2)
    printed = capsys.readouterr().err
    assert "\r" not in printed and "\x1b" not in printed
    last = printed.splitlines()[-1]
    assert last.startswith("making examples:") and " 25%" in last
    assert "1.00k/4.00k" in last and "words/s" in last


def test_a_short_build_leaves_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    run(tmp_path, seconds=0.1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("making examples:")


def test_a_terminal_gets_one_live_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run(tmp_path, seconds=0.1)
    printed = capsys.readouterr().err
    assert "\r" in printed and "making examples" in printed and printed.count("\n") == 1
