"""Small charts as SVG whose colours are those of the page, so that they do for light and dark."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from electra_tf.runs.report.markup import Html, element
from electra_tf.runs.report.numbers import large, short

_WIDTH, _HEIGHT = 400, 230  # of a chart with its axes, in units of the drawing
_SQUARE_HEIGHT = 382  # of one whose axes have the same length
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 36
_MOST_POINTS = 300  # of a line
_COLOURS = 5


class Series(NamedTuple):
    """Points of one colour.

    Attributes:
        name: in the key, which a chart of several has.
        points: (x, y), in the order of x.
        dots: whether points are dots, not a line; one alone is a dot, too.
        notes: shown where the pointer rests on a dot; none for none.
        sizes: radius of each dot; none for the usual one.
    """

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False
    notes: Sequence[str] = ()
    sizes: Sequence[float] = ()


def chart(
    title: str,
    series: Sequence[Series],
    x_title: str,
    y_title: str = "",
    unit: bool = False,
    chance: Sequence[tuple[float, float]] = (),
) -> Html:
    """A figure of lines and dots.

    Args:
        title: above it.
        series: what is drawn; at least one point.
        x_title, y_title: of the axes.
        unit: both axes go from 0 to 1 and have the same length; else each goes from the least to
            the largest value.
        chance: a dashed line, such as the diagonal.
    """
    points = [point for each in series for point in each.points]
    if unit:
        ranges = (0.0, 1.0), (0.0, 1.0)
    else:
        ranges = _range([x for x, _ in points]), _range([y for _, y in points], 0.05)
    place = _Place(*ranges, _SQUARE_HEIGHT if unit else _HEIGHT)
    drawn = _axes(place, x_title)
    if chance:
        drawn.append(element("polyline", points=place.path(chance), class_="chance", fill="none"))
    for number, each in enumerate(series):
        drawn += _drawn(each, number % _COLOURS, place)
    named = len(series) > 1
    keys = [_key(each.name, number) for number, each in enumerate(series) if named]
    caption = element("figcaption", title, element("span", y_title, *keys))
    picture = element(
        "svg", *drawn, viewBox=f"0 0 {_WIDTH} {place.height}", role="img", aria_label=title
    )
    return element("figure", caption, picture)


def charts(figures: Sequence[Html]) -> Html:
    """Figures side by side, as many as fit."""
    return element("div", *figures, class_="charts")


def dots(values: Sequence[float], low: float, high: float, median: float) -> Html:
    """Values as dots on a line from `low` to `high`, the median as a bar."""
    width, height = 150, 22

    def x(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{6 + (width - 12) * share:.1f}"

    middle = height / 2
    return element(
        "svg",
        element("line", x1=6, x2=width - 6, y1=middle, y2=middle, class_="grid"),
        element("line", x1=x(median), x2=x(median), y1=3, y2=height - 3, class_="line s1"),
        *(
            element("circle", cx=x(value), cy=middle, r=3.5, class_="f0", fill_opacity="0.75")
            for value in values
        ),
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=", ".join(map(short, values)),
    )


class _Place:
    """Where a point of the data is in the drawing."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float], height: int):
        self.xs, self.ys, self.height = xs, ys, height

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - self.xs[0]) / (self.xs[1] - self.xs[0])

    def y(self, value: float) -> float:
        share = (value - self.ys[0]) / (self.ys[1] - self.ys[0])
        return self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * share

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """Of a polyline."""
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)


def _drawn(series: Series, colour: int, place: _Place) -> list[Html]:
    if not series.dots and len(series.points) > 1:
        path = place.path(_thinned(series.points))
        return [element("polyline", points=path, class_=f"line s{colour}")]
    sizes = series.sizes or [3.2] * len(series.points)
    notes = series.notes or [f"{short(x)}: {short(y)}" for x, y in series.points]
    return [
        element(
            "g",
            element("title", note),
            element(
                "circle",
                cx=f"{place.x(x):.1f}",
                cy=f"{place.y(y):.1f}",
                r=f"{size:.1f}",
                class_=f"f{colour}",
                fill_opacity="0.85",
            ),
        )
        for (x, y), note, size in zip(series.points, notes, sizes)
    ]


def _axes(place: _Place, x_title: str) -> list[Html]:
    bottom, drawn = place.height - _BOTTOM, []
    for value in ticks(*place.ys):
        y = f"{place.y(value):.1f}"
        drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        label = tick_label(value)
        where = {"x": _LEFT - 6, "y": y, "text_anchor": "end", "dominant_baseline": "middle"}
        drawn.append(element("text", label, **where))
    across = ticks(*place.xs, most=5)
    for value in across:
        x = f"{place.x(value):.1f}"
        drawn.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="grid"))
        # The last one ends within the drawing.
        anchor = "end" if place.x(value) > _WIDTH - _RIGHT - 15 else "middle"
        drawn.append(element("text", tick_label(value), x=x, y=bottom + 16, text_anchor=anchor))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(element("text", x_title, x=middle, y=place.height - 4, text_anchor="middle"))
    return drawn


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` of them, and at least one.

    Example:
        >>> ticks(0.0, 1500.0, most=4)
        [0.0, 500.0, 1000.0, 1500.0]
    """
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20):
        first, last = math.ceil(low / (step * factor)), math.floor(high / (step * factor) + 1e-9)
        if last - first < most:
            return [round(place * step * factor, 12) for place in range(first, last + 1)]
    return [low]


def tick_label(value: float) -> str:
    """A number beside an axis, in few characters."""
    if not value:
        return "0"
    for size, name, least in ((1e9, "G", 1e9), (1e6, "M", 1e6), (1e3, "k", 1e4)):
        if abs(value) >= least:
            return f"{value / size:g}{name}" if abs(value) < 1e12 else large(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.7g}"


def _key(name: str, number: int) -> Html:
    mark = element("i", class_=f"f{number % _COLOURS}")
    return element("b", mark, name, class_="key faint", style="font-weight:400")


def _range(values: Sequence[float], margin: float = 0.0) -> tuple[float, float]:
    """Least and largest value, apart also where all are equal."""
    low, high = min(values), max(values)
    if low == high:
        around = abs(low) * 0.1 or 1.0
        return low - around, high + around
    return low - margin * (high - low), high + margin * (high - low)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most so many points as a line can show, with the first and the last."""
    number = len(points)
    if number <= _MOST_POINTS:
        return points
    places = [round(place * (number - 1) / (_MOST_POINTS - 1)) for place in range(_MOST_POINTS)]
    return [points[place] for place in places]
