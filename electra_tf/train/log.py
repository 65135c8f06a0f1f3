"""metrics.jsonl and TensorBoard, both continuous over resumes."""

import json
import math
import os
from collections.abc import Callable, Mapping

from electra_tf import file_systems
from electra_tf.errors import room_for
from electra_tf.files import write_text
from electra_tf.train.board import Board, Content


class MetricsLog:
    """Writes metrics of a run; on resume, forgets what came after the checkpoint.

    Args:
        workdir: holds metrics.jsonl and tensorboard/; shared by all workers.
        step: the step that training continues from.
        enabled: False for workers other than the chief.
    """

    def __init__(self, workdir: str, step: int, enabled: bool = True):
        self._enabled, self._step, self._boards = enabled, step, {}
        self._tensorboard = os.path.join(workdir, "tensorboard")
        self._path = path = os.path.join(workdir, "metrics.jsonl")
        self._former = {(line["step"], line["split"]) for line in read(path)}
        if enabled:
            _cut(path, step)
            self._lines = _Lines(path)

    def had(self, step: int, split: str) -> bool:
        """Whether a former process has already written this line; the same on all workers."""
        return (step, split) in self._former

    def write(
        self,
        step: int,
        split: str,
        metrics: dict[str, float],
        shown: Callable[[], Mapping[str, Content]] | None = None,
    ) -> None:
        """Appends one line; non-finite numbers become null, as JSON has none.

        Args:
            step, split: that the line is of.
            metrics: numbers by name.
            shown: makes what TensorBoard alone shows besides, by tag, once the line is written.
        """
        if not self._enabled:
            return
        line = json.dumps({"step": step, "split": split, **json_safe(metrics)}) + "\n"
        with room_for(self._path):
            self._lines.add(line)
        content = {**metrics, **(shown() if shown else {})}
        with room_for(self._path):
            if split not in self._boards:
                self._boards[split] = Board(os.path.join(self._tensorboard, split), self._step)
            self._boards[split].write(step, content)

    def close(self) -> None:
        """Closes the files."""
        if self._enabled:
            with room_for(self._path):
                self._lines.close()
                for board in self._boards.values():
                    board.close()


def json_safe(metrics: dict[str, float]) -> dict:
    """The metrics with null for what is not finite: JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def read(path: str) -> list[dict]:
    """The complete lines of a metrics.jsonl; an empty list without the file.

    A line that a killed process left unfinished is not one.
    """
    if not file_systems.exists(path):
        return []
    with file_systems.opened(path) as file:
        return [json.loads(line) for line in file if line.endswith(b"\n")]


class _Lines:
    """A text file that grows; that of a URL is written anew, as not all of these can append."""

    def __init__(self, path: str):
        self._path, self._file = path, None
        if file_systems.is_url(path):
            self._written = file_systems.read_bytes(path) if file_systems.exists(path) else b""
        else:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed in close)

    def add(self, line: str) -> None:
        if self._file is None:
            self._written += line.encode()
            file_systems.write_bytes(self._path, self._written)
        else:
            self._file.write(line)
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _cut(path: str, step: int) -> None:
    """Drops lines of later steps, replacing the file in one move."""
    if not file_systems.exists(path):
        return
    kept = [json.dumps(line) + "\n" for line in read(path) if line["step"] <= step]
    write_text(path, "".join(kept))
