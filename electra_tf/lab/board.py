"""The results of a study for TensorBoard's hyper-parameters: every run of it as one trial."""

import os
from collections.abc import Mapping
from typing import Any

from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as endings
from tensorboard.plugins.hparams import summary_v2 as hparams

from electra_tf import files
from electra_tf.lab.compute import Plan
from electra_tf.train.board import Board

_ROW, _SEED = "row", "seed"
_KIND = files.Kind(
    "the trials of a study",
    "title.txt",
    (r"events\.out\.tfevents\.[^/]+", r"[^/]+/seed_\d+/events\.out\.tfevents\.[^/]+"),
)

Value = bool | int | float | str


def write(results: Mapping[str, Any], plans: Mapping[str, Plan], path: str) -> None:
    """Writes the trials anew, in place of those of an earlier call.

    Args:
        results: of `results.collect`.
        plans: of the rows by name.
        path: directory to write.

    Raises:
        UserError: there is something else at `path`.
    """
    differing = differences({name: plan.config.flat() for name, plan in plans.items()})
    domains = {
        _ROW: list(differing),
        _SEED: results["seeds"],
        **{
            field: list(dict.fromkeys(values[field] for values in differing.values()))
            for field in next(iter(differing.values()))
        },
    }
    with files.new_directory(path, _KIND) as folder:
        _describe(results, domains, folder)
        for row, values in differing.items():
            for seed in results["seeds"]:
                _write_trial(results, {_ROW: row, _SEED: seed, **values}, folder)


def differences(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Value]]:
    """The fields in which rows differ, and the value that each row has there.

    Args:
        configs: fields by name, by row; all rows have the same fields.
    """
    first = next(iter(configs.values()))
    names = [name for name in first if any(own[name] != first[name] for own in configs.values())]
    # A flag may give a whole number to a field of floats; TensorBoard wants one type.
    floats = {name for name in names if any(type(own[name]) is float for own in configs.values())}
    return {
        row: {name: float(own[name]) if name in floats else own[name] for name in names}
        for row, own in configs.items()
    }


def _describe(results, domains, folder: str) -> None:
    """Writes what can be chosen and measured."""
    with open(os.path.join(folder, _KIND.marker), "w", encoding="utf-8") as file:
        file.write(f"{results['title']}\n")
    known = [hparams.HParam(name, hparams.Discrete(values)) for name, values in domains.items()]
    measured = [hparams.Metric(title) for title in results["columns"]]
    board = Board(folder)
    board.write_summary(0, hparams.hparams_config_pb(known, measured))
    board.close()


def _write_trial(results, values: dict[str, Value], folder: str) -> None:
    """Writes a run's hyper-parameters and what was measured of it; nothing where nothing was."""
    row, seed = values[_ROW], values[_SEED]
    by_title = {title: column.get(row, {}) for title, column in results["columns"].items()}
    measured = {
        title: cell["seeds"][str(seed)]
        for title, cell in by_title.items()
        if str(seed) in cell.get("seeds", {})
    }
    if not measured:
        return
    name = f"{row}/seed_{seed}"
    board = Board(os.path.join(folder, name))
    board.write_summary(0, hparams.hparams_pb(values, trial_id=name))
    board.write(results["rows"][row]["steps"], measured)
    if not any(task.startswith(f"runs/{name}/") for task in results["failures"]):
        board.write_summary(0, endings.session_end_pb(api_pb2.STATUS_SUCCESS))
    board.close()
