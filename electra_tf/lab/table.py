"""The results of a study as Markdown."""

from collections.abc import Sequence
from typing import Any

_ABSENT = "–"


def markdown(results: dict[str, Any]) -> str:
    """A table of means and standard deviations, one of differences, and what is missing.

    Args:
        results: of `results.collect`.
    """
    parts = [f"# {results['title']}", _scores(results), _compared(results)]
    if results["failures"]:
        lines = [f"- `{task}`: {reason}" for task, reason in results["failures"].items()]
        parts.append("\n".join(["Not there:", "", *lines]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _scores(results):
    columns, rows = results["columns"], results["rows"]
    has_paper = any(facts["paper"] is not None for facts in rows.values())
    header = ["", *columns, *([results["paper_title"] or "paper"] * has_paper), "FLOPs", "steps"]
    lines = []
    for row, facts in rows.items():
        cells = [_score(columns[title].get(row), len(results["seeds"])) for title in columns]
        if has_paper:
            cells.append(_ABSENT if facts["paper"] is None else f"{facts['paper']:g}")
        lines.append([row, *cells, f"{facts['flops']:.3g}", f"{facts['steps']:,}"])
    caption = (
        f"Mean ± standard deviation over seeds, n = {len(results['seeds'])} where a cell does not "
        "say otherwise."
    )
    return f"{_table(header, lines)}\n\n{caption}"


def _score(cell: dict[str, Any] | None, seeds: int) -> str:
    if cell is None:
        return _ABSENT
    deviation = cell["standard_deviation"]
    text = f"{cell['mean']:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")
    return text if cell["n"] == seeds else f"{text} (n = {cell['n']})"


def _compared(results):
    columns, reference = results["compared"], results["reference"]
    others = [row for row in results["rows"] if any(row in column for column in columns.values())]
    if not others:
        return ""
    lines = [[row, *(_difference(columns[title].get(row)) for title in columns)] for row in others]
    caption = (
        f"Difference from {reference} on the same seeds; p of a two-sided paired t test over the "
        "n seeds that both have, not corrected for the number of comparisons."
    )
    return f"{_table(['', *columns], lines)}\n\n{caption}"


def _difference(test: dict[str, Any] | None) -> str:
    if test is None:
        return _ABSENT
    p = "" if test["p"] is None else f"p = {test['p']:.2g}, "
    return f"{test['difference']:+.3f} ({p}n = {test['n']})"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))
