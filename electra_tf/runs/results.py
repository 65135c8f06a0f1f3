"""What the trials of a fine-tuning come to: medians, the best one, a table."""

from typing import Any

import numpy as np

from electra_tf.tasks.class_names import short

_MOST_COUNTS = 20  # of a split's labels or tags in a line


def summarize(task_name: str, main_metric: str, trials: list[dict]) -> dict:
    """The content of results.json.

    Args:
        task_name: the task's.
        main_metric: by which trials are compared; larger is better.
        trials: `{"seed": int, "stuck": bool, "metrics": {split: {name: float}}}` each.

    Returns:
        `task`, `main_metric`, `trials`, `median`, `mean` and `standard_deviation` by split and
        metric, and `best`, the number of the best trial by the first split's main metric.
    """
    splits = {split: list(metrics) for split, metrics in trials[0]["metrics"].items()}

    def over_trials(function):
        return {
            split: {
                name: float(function([trial["metrics"][split][name] for trial in trials]))
                for name in names
            }
            for split, names in splits.items()
        }

    first = next(iter(splits), None)
    scores = [trial["metrics"][first][main_metric] if first else 0.0 for trial in trials]
    return {
        "task": task_name,
        "main_metric": main_metric,
        "trials": trials,
        "median": over_trials(np.median),
        "mean": over_trials(np.mean),
        "standard_deviation": over_trials(np.std),
        "best": int(np.argmax(scores)),
    }


def facts_line(split: str, facts: dict[str, Any]) -> str:
    """What was understood of a split (`FinetuningTask.facts`), for a terminal."""
    parts = []
    for name, value in facts.items():
        if not isinstance(value, dict):
            parts.append(f"{value}" if name == "file" else f"{name} {value}")
            continue
        items = list(value.items())
        if len(items) > _MOST_COUNTS:
            items = sorted(items, key=lambda item: -item[1])[:_MOST_COUNTS]
        shown = ", ".join(
            f"{key} {item!r}" if isinstance(item, str) else f"{short(key)!r} {item}"
            for key, item in items
        )
        more = len(value) - len(items)
        parts.append(f"{name}: {shown}" + (f" and {more} more" if more else ""))
    return f"{split}: {'; '.join(parts)}"


def table(summary: dict) -> str:
    """Results for a terminal: a line per split and metric, trials in columns."""
    trials = summary["trials"]
    header = [
        "",
        *(f"seed {trial['seed']}{' (stuck)' if trial['stuck'] else ''}" for trial in trials),
        "median",
        "mean",
        "std",
    ]
    rows = [header]
    for split, metrics in summary["median"].items():
        for name in metrics:
            values = [trial["metrics"][split][name] for trial in trials]
            values += [
                summary[what][split][name] for what in ("median", "mean", "standard_deviation")
            ]
            rows.append([f"{split} {name}", *(f"{value:.4f}" for value in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    stuck = [str(trial["seed"]) for trial in trials if trial["stuck"]]
    if stuck:
        lines.append(
            f"Stuck: seed {', '.join(stuck)} ended no better than a constant guess; the "
            "paper leaves such runs out. Try another seed or a lower learning rate."
        )
    return "\n".join(lines)
