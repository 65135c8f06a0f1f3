"""A study from its file to its table: what `electra_tf lab` does."""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from electra_tf import files
from electra_tf.config.study import Study
from electra_tf.durations import estimate
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.lab import board, pool, results, stages, table
from electra_tf.lab.compute import plan
from electra_tf.lab.stages import STAGES, Task

TABLE, PICTURES, BOARD = "table.md", ("results.png", "results.svg"), "tensorboard"
_RESULTS, _COMMANDS = "results.json", "commands.json"


class Laboratory:
    """A study in its directory.

    Args:
        study: what to do.
        root: directory of all it makes; one of an earlier call continues.

    Raises:
        UserError: the study, one of its configs, or a root that is something else's.
    """

    def __init__(self, study: Study, root: str):
        self._study, self._root = study.validate(), os.path.normpath(root)
        study.require_data()
        self._plans = {row.name: plan(study, row) for row in study.rows}
        self._stages = stages.build(study, self._plans, self._root)

    def lines(self, stage: str | None = None) -> list[str]:
        """What is still to be done, as lines for a shell: of one stage, or all with headings."""
        if stage:
            return [task.line for task in self._open(stage)]
        lines = []
        for name in STAGES:
            todo = self._open(name)
            if todo:
                lines += [f"# {name}", *(task.line for task in todo)]
        return lines

    def run(self, jobs: int, stage: str | None = None) -> dict[str, Any]:
        """Does what is still to be done; returns what results.json holds.

        Args:
            jobs: commands at a time.
            stage: the only one to do; `results` alone collects what is there.

        Raises:
            UserError: the root holds another study, or another process works there.
        """
        files.workdir(self._root, [self._study.data_dir, self._study.tasks_dir], ())
        with files.one_writer(self._root):
            self._remember()
            for name in STAGES:
                if stage in (None, name):
                    self._do(name, jobs)
            return self._write_results()

    def _do(self, name: str, jobs: int) -> None:
        todo = [task for task in self._open(name) if not task.needs or task.needs.is_done()]
        everything = self._stages[name]
        if not everything:
            return
        done = len(everything) - len(self._open(name))
        print(f"[{name}] {len(everything)} commands, {done} done before", file=sys.stderr)
        start, ended = time.monotonic(), 0

        def told(task: Task, code: int) -> None:
            nonlocal ended
            ended += 1
            each = (time.monotonic() - start) / ended
            left = f", about {estimate(each * (len(todo) - ended))} left"
            progress = f"{ended}/{len(todo)}{left if ended < len(todo) else ''}"
            what = "done" if not code and task.is_done() else f"FAILED: {_reason(task)}"
            print(f"[{name} {progress}] {task.name}: {what}", file=sys.stderr)

        pool.run(todo, jobs, told)

    def _open(self, stage: str) -> list[Task]:
        return [task for task in self._stages.get(stage, ()) if not task.is_done()]

    def require_complete(self, stage: str | None = None) -> None:
        """Raises UserError that tells of results that are not there: of one stage, or of all."""
        missing = self._missing(STAGES if stage is None else (stage,))
        if missing:
            task, reason = next(iter(missing.items()))
            raise UserError(
                "All commands of a study must succeed; the same call tries again. Received: "
                f"{len(missing)} that did not, the first {task} ({reason}); {self._path(TABLE)} "
                "lists them"
            )

    def _missing(self, names: Iterable[str]) -> dict[str, str]:
        return {task.name: _reason(task) for name in names for task in self._open(name)}

    def _write_results(self) -> dict[str, Any]:
        missing = self._missing(STAGES)
        found = results.collect(self._study, self._plans, self._root, missing)
        text = table.markdown(found)
        files.write_text(self._path(_RESULTS), json.dumps(found, indent=2) + "\n")
        files.write_text(self._path(TABLE), text)
        board.write(found, self._plans, self._path(BOARD))
        from electra_tf.lab import picture  # where there is no matplotlib, the table is there

        picture.draw(found, [self._path(name) for name in PICTURES])
        return found

    def _remember(self) -> None:
        """Notes every command; raises UserError if one was another before."""
        path = self._path(_COMMANDS)
        foreign = [
            name for name in (_RESULTS, TABLE, *PICTURES, BOARD) if os.path.exists(self._path(name))
        ]
        if foreign and not os.path.exists(path):
            raise UserError(
                f"The root of a study must be new or a study's, with {_COMMANDS}. Received: "
                f"{self._root} without it, but with {foreign[0]}"
            )
        former: Mapping[str, str] = read_json(path) if os.path.exists(path) else {}
        now = {
            task.name: task.line.replace(os.path.join(self._root, ""), "ROOT/")
            for tasks in self._stages.values()
            for task in tasks
        }
        changed = next((name for name in now if former.get(name, now[name]) != now[name]), None)
        if changed:
            raise UserError(
                f"A study must keep its commands: that of {changed} was {former[changed]}. "
                f"Received: {now[changed]}; take another --root"
            )
        files.write_text(path, json.dumps({**former, **now}, indent=2) + "\n")

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name)


def _reason(task: Task) -> str:
    """Why the result of a task is not there."""
    if task.needs and not task.needs.is_done():
        return f"needs {task.needs.name}"
    return pool.last_line(task).removeprefix("error: ") or "not run"
