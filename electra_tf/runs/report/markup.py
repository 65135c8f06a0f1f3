"""HTML and SVG from Python: what is not markup already is escaped."""

import html

_VOID = ("circle", "line", "meta", "polyline", "rect")  # elements without content


class Html(str):
    """Text that is markup; any other string is text and gets escaped."""


def element(name: str, /, *content: object, **attributes: object) -> Html:
    """An element.

    Args:
        name: of the element.
        *content: `Html` as it is; anything else as escaped text.
        **attributes: by name, with "_" for "-" and one at the end dropped, as in `class_`; those
            that are None are left out.

    Example:
        >>> element("p", "1 < 2", element("b", "!"), class_="note")
        '<p class="note">1 &lt; 2<b>!</b></p>'
    """
    given = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{join(content)}</{name}>")


def join(parts) -> Html:
    """Parts one after the other, each as the content of `element`."""
    return Html(
        "".join(part if isinstance(part, Html) else html.escape(str(part)) for part in parts)
    )
