"""metrics.jsonl and TensorBoard, both continuous over resumes."""

import json
import math
import os

import tensorflow as tf


class MetricsLog:
    """Writes metrics of a run; on resume, forgets what came after the checkpoint.

    Args:
        workdir: holds metrics.jsonl and tensorboard/.
        step: the step that training continues from.
        enabled: False for workers other than the chief.
    """

    def __init__(self, workdir: str, step: int, enabled: bool = True):
        self._enabled, self._writers = enabled, {}
        self._tensorboard = os.path.join(workdir, "tensorboard")
        if enabled:
            path = os.path.join(workdir, "metrics.jsonl")
            _cut(path, step)
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed in close)

    def write(self, step: int, split: str, metrics: dict[str, float]) -> None:
        """Appends one line; non-finite numbers become null, as JSON has none."""
        if not self._enabled:
            return
        finite = {name: value if math.isfinite(value) else None
                  for name, value in metrics.items()}
        self._file.write(json.dumps({"step": step, "split": split, **finite}) + "\n")
        self._file.flush()
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(
                os.path.join(self._tensorboard, split))
        with self._writers[split].as_default(step):
            for name, value in metrics.items():
                tf.summary.scalar(name, value)
        self._writers[split].flush()

    def close(self) -> None:
        """Closes the files."""
        if self._enabled:
            self._file.close()
            for writer in self._writers.values():
                writer.close()


def read(path: str) -> list[dict]:
    """The complete lines of a metrics.jsonl; an empty list without the file.

    A line that a killed process left unfinished is not one.
    """
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def _cut(path: str, step: int) -> None:
    """Drops lines of later steps, replacing the file in one move."""
    if not os.path.exists(path):
        return
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        for line in read(path):
            if line["step"] <= step:
                file.write(json.dumps(line) + "\n")
    os.replace(path + ".tmp", path)
