"""Collects the numbers of all runs: what results.json holds."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from electra_tf.config.study import Study
from electra_tf.json_files import read_json
from electra_tf.lab import statistics
from electra_tf.lab.compute import Plan
from electra_tf.lab.stages import applies, result_file

Numbers = dict[str, dict[str, dict[int, float]]]  # by column, row and seed


def collect(
    study: Study, plans: Mapping[str, Plan], root: str, failures: Mapping[str, str]
) -> dict[str, Any]:
    """All that is there by now.

    Args:
        study: a validated study.
        plans: of its rows by name.
        root: directory of the study.
        failures: what is missing, by task, and why.

    Returns:
        `title`, `reference`, `seeds`, `paper_title`; `rows` by name, what each trains;
        `columns`, of each by row the values by `seeds` and their `summary`; `compared`, of each by
        row the paired test against the reference; `failures`.
    """
    numbers = _numbers(study, plans, root)
    reference = study.reference
    return {
        "title": study.title,
        "reference": reference,
        "seeds": list(study.seeds),
        "paper_title": study.paper_title,
        "rows": {
            row.name: {
                "steps": plans[row.name].steps,
                "tokens": plans[row.name].tokens,
                "flops": plans[row.name].flops,
                "series": row.series,
                "paper": row.paper,
            }
            for row in study.rows
        },
        "columns": {
            title: {
                row: {
                    "seeds": {str(seed): value for seed, value in values.items()},
                    **statistics.summary(list(values.values())),
                }
                for row, values in by_row.items()
                if values
            }
            for title, by_row in numbers.items()
        },
        "compared": {
            title: {
                row: statistics.paired(values, by_row[reference])
                for row, values in by_row.items()
                if row != reference and values.keys() & by_row[reference].keys()
            }
            for title, by_row in numbers.items()
        },
        "failures": dict(failures),
    }


def _numbers(study: Study, plans: Mapping[str, Plan], root: str) -> Numbers:
    found: Numbers = {title: {row.name: {} for row in study.rows} for title in study.columns}
    for row in study.rows:
        for seed in study.seeds:
            for probe in study.probes:
                path = result_file(root, row, seed, probe)
                if not (applies(probe, plans[row.name]) and os.path.exists(path)):
                    continue
                content = read_json(path)
                for title, place in probe.columns.items():
                    value = number_at(content, place)
                    if value is not None:
                        found[title][row.name][seed] = value
            for title, parts in study.averages.items():
                by_part = [found[part][row.name] for part in parts]
                if all(seed in values for values in by_part):
                    mean = np.mean([values[seed] for values in by_part])
                    found[title][row.name][seed] = float(mean)
    return found


def number_at(content: Any, place: str) -> float | None:
    """The number at a place such as median.dev.f1 of a JSON object; None where there is none."""
    for name in place.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    is_number = isinstance(content, int | float) and not isinstance(content, bool)
    return float(content) if is_number and math.isfinite(content) else None
