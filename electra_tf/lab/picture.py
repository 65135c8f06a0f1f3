"""The results of a study as a picture: a panel for each column, a dot for each seed."""

from typing import Any

from electra_tf import extras, files

with extras.needed("plots"):
    import matplotlib

    matplotlib.use("Agg")  # needs no display; chosen before the next import
    matplotlib.rcParams["svg.hashsalt"] = "electra_tf"  # the same results give the same file
    from matplotlib import pyplot

_PER_LINE = 4  # panels
_WIDTH, _LINE_HEIGHT = 4.2, 0.42  # inches, of a panel and of a row in it


def draw(results: dict[str, Any], paths: list[str]) -> None:
    """Draws rows as lines of a panel, or over compute where rows of a series differ in it.

    Args:
        results: of `results.collect`.
        paths: files to write, .png or .svg; each appears when it is complete.
    """
    rows = results["rows"]
    panels = {title: column for title, column in results["columns"].items() if column}
    over_compute = len({facts["flops"] for facts in rows.values() if facts["series"]}) > 1
    paper = {
        row: {"seeds": {"": facts["paper"]}, "mean": facts["paper"], "standard_deviation": None}
        for row, facts in rows.items()
        if facts["paper"] is not None and not over_compute  # the paper's is another compute
    }
    count = len(panels) + bool(paper)
    if not count:
        return
    lines = -(-count // _PER_LINE)
    height = 3.4 if over_compute else 1.2 + _LINE_HEIGHT * len(rows)
    figure, axes = pyplot.subplots(
        lines,
        min(count, _PER_LINE),
        figsize=(_WIDTH * min(count, _PER_LINE), height * lines + 0.5),
        layout="constrained",
        squeeze=False,
    )
    free = list(axes.flat)
    for title, column in panels.items():
        _panel(free.pop(0), title, column, rows, over_compute)
    if paper:
        _panel(free.pop(0), results["paper_title"] or "paper", paper, rows, False)
    for axis in free:
        axis.set_axis_off()
    figure.suptitle(results["title"])
    for path in paths:
        ending = path.rpartition(".")[2]
        plain = {"Date": None} if ending == "svg" else {}
        with files.new_file(path) as temporary:
            figure.savefig(temporary, format=ending, dpi=120, metadata=plain)
    pyplot.close(figure)


def _panel(axis, title: str, cells: dict[str, dict], rows: dict, over_compute: bool) -> None:
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)
    (_over_compute if over_compute else _side_by_side)(axis, cells, rows)


def _side_by_side(axis, cells, rows) -> None:
    """A line for each row: dots of the seeds, a bar for mean and standard deviation."""
    for place, row in enumerate(rows):
        if row in cells:
            cell = cells[row]
            values, deviation = list(cell["seeds"].values()), cell["standard_deviation"]
            axis.errorbar(cell["mean"], place, xerr=deviation, fmt="k|", markersize=14, capsize=3)
            axis.plot(values, [place] * len(values), "o", alpha=0.6, markersize=5)
    axis.locator_params(axis="x", nbins=4)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)


def _over_compute(axis, cells, rows) -> None:
    """Dots of the seeds over the operations of their row, a line through the means of a series."""
    series: dict[str, list[str]] = {}
    for row in cells:
        series.setdefault(rows[row]["series"] or row, []).append(row)
    for name, members in series.items():
        members.sort(key=lambda row: rows[row]["flops"])
        flops = [rows[row]["flops"] for row in members]
        means = [cells[row]["mean"] for row in members]
        deviations = [cells[row]["standard_deviation"] or 0.0 for row in members]
        line = axis.errorbar(flops, means, yerr=deviations, capsize=3, label=name)[0]
        for row, x in zip(members, flops):
            values = list(cells[row]["seeds"].values())
            axis.plot([x] * len(values), values, "o", color=line.get_color(), alpha=0.6)
    axis.set(xscale="log", xlabel="FLOPs")
    axis.legend(fontsize=8)
