"""What is known of a fine-tuning: its trials, and what it understood of its files."""

import dataclasses
import os
from typing import Any

from electra_tf.config import FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.runs import results
from electra_tf.runs.report import parts
from electra_tf.runs.report.parts import Missing, attempt


@dataclasses.dataclass(frozen=True)
class Measured:
    """A metric over the trials.

    Attributes:
        split, name: of the metric.
        values: of the trials, in their order.
        median: of the values.
    """

    split: str
    name: str
    values: list[float]
    median: float


@dataclasses.dataclass(frozen=True)
class FinetuningRun:
    """Everything that the report shows; a part that the run lacks is `Missing`.

    Attributes:
        directory: of the run.
        config: its config.json.
        summary: content of results.json.
        metrics: those of the summary, by split.
        lines: of the metrics.jsonl of each trial, by its seed.
        data: by split what was understood, a line.
        differences: fields of the config, (default, value).
    """

    directory: str
    config: FinetuneConfig
    summary: dict[str, Any] | Missing
    metrics: list[Measured]
    lines: dict[str, list[dict]]
    data: dict[str, str] | Missing
    differences: dict[str, tuple[object, object]]

    @property
    def trials(self) -> list[dict[str, Any]]:
        return [] if isinstance(self.summary, Missing) else self.summary["trials"]

    @property
    def stuck(self) -> list[str]:
        """Seeds of the trials that learnt nothing."""
        return [str(trial["seed"]) for trial in self.trials if trial["stuck"]]


def collect(directory: str) -> FinetuningRun:
    """Reads a run.

    Raises:
        UserError: its config.json or a metrics.jsonl cannot be read.
    """
    config = FinetuneConfig.load(directory)
    summary = attempt("Results", lambda: _summary(directory))
    found = {} if isinstance(summary, Missing) else summary
    trials = found.get("trials", [])
    facts = found.get("data")
    return FinetuningRun(
        directory=directory,
        config=config,
        summary=summary,
        metrics=_metrics(found),
        lines={
            str(trial["seed"]): parts.read_metrics(os.path.join(directory, f"trial_{number}"))
            for number, trial in enumerate(trials)
        },
        data={split: results.facts_line(split, each) for split, each in facts.items()}
        if isinstance(facts, dict)
        else Missing("What was understood of the data: results.json of this version has it."),
        differences=parts.differences(config),
    )


def _summary(directory: str) -> dict[str, Any]:
    """The content of results.json, with all that is read of it."""
    path = os.path.join(directory, "results.json")
    if not os.path.exists(path):
        raise UserError(
            "A fine-tuning writes results.json when all its trials are done; the same command "
            f"continues it. Received: {directory} without"
        )
    found = read_json(path)
    try:
        for trial in found["trials"]:
            _ = trial["seed"], trial["stuck"]
        _metrics(found)
        _ = found["main_metric"], found["task"], found["trials"][found["best"]]
        for split, facts in found.get("data", {}).items():
            results.facts_line(split, facts)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise UserError(
            "A results.json must be as `electra_tf finetune` writes it; the same command writes it "
            f"again. Received: {path}"
        ) from None
    return found


def _metrics(summary: dict[str, Any]) -> list[Measured]:
    return [
        Measured(
            split,
            name,
            [float(trial["metrics"][split][name]) for trial in summary["trials"]],
            float(median),
        )
        for split, medians in summary.get("median", {}).items()
        for name, median in medians.items()
    ]
