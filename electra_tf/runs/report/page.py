"""The parts of a report's page: document, sections, facts, tables, notes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from electra_tf import __version__
from electra_tf.runs.report.markup import Html, element, join
from electra_tf.runs.report.parts import Missing
from electra_tf.runs.report.style import CSS

_Part = TypeVar("_Part")


def document(title: str, subtitle: str, sections: Iterable[Html]) -> str:
    """A whole page that needs nothing else: no script, font, picture or style from outside."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(CSS)),
    )
    body = element(
        "body",
        element("h1", title),
        element("p", subtitle, class_="faint"),
        *sections,
        element("footer", f"electra_tf {__version__}"),
    )
    return "<!DOCTYPE html>\n" + element("html", head, "\n", body, lang="en") + "\n"


def section(title: str, *content: object) -> Html:
    """A titled part of the page."""
    return element("section", element("h2", title), *content)


def shown(part: _Part | Missing, render: Callable[[_Part], Html]) -> Html:
    """What there is of a part, or the line that says how to get it."""
    return note(part.reason) if isinstance(part, Missing) else render(part)


def note(text: str) -> Html:
    """A line in the place of something that is not there."""
    return element("p", with_code(text), class_="note")


def with_code(text: str) -> Html:
    """Text whose parts in backticks are code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one of the backticks has no partner
        return join([text])
    return join(element("code", part) if place % 2 else part for place, part in enumerate(parts))


def facts(values: Mapping[str, object]) -> Html:
    """Names and values, side by side."""
    pairs = [
        element("div", element("dt", name), element("dd", value)) for name, value in values.items()
    ]
    return element("dl", *pairs, class_="facts")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], texts: int = 1) -> Html:
    """A table that scrolls by itself where the screen is narrow.

    Args:
        header: of the columns.
        rows: cells.
        texts: number of columns on the left that are text; the others are numbers.
    """

    def row(name: str, cells: Sequence[object]) -> Html:
        return element(
            "tr",
            *(
                element(name, cell, class_=None if column < texts else "number")
                for column, cell in enumerate(cells)
            ),
        )

    body = join(row("td", cells) for cells in rows)
    content = element("thead", row("th", header)), element("tbody", body)
    return element("div", element("table", *content), class_="scroll")


def differences(changed: Mapping[str, tuple[object, object]]) -> Html:
    """The fields of a config that differ from their defaults."""
    if not changed:
        return element("p", "None: every field has its default.")
    rows = [
        (element("code", _breakable(name)), _value(default), _value(own))
        for name, (default, own) in changed.items()
    ]
    return table(("field", "default", "here"), rows, texts=3)


def _breakable(name: str) -> Html:
    """A name that may go on in the next line after a dot or an underscore."""
    return join(
        Html(f"{part}<wbr/>") if part in (".", "_") else part for part in re.split("([._])", name)
    )


def _value(value: object) -> Html:
    return element("code", repr(value) if isinstance(value, str) else value)
