"""Durations as people read them."""

_UNITS = ((86_400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s"))


def duration(seconds: float) -> str:
    """What was measured, in two units.

    Example:
        >>> [duration(each) for each in (4.25, 61, 7322, 90_000)]
        ['4.2 s', '1 min 1 s', '2 h 2 min', '1 d 1 h']
    """
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    for size, smaller, unit, other in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // smaller} {other}"
    return f"{seconds} s"


def estimate(seconds: float) -> str:
    """What is only guessed, in one unit; below two minutes quarters of a minute.

    Example:
        >>> [estimate(each) for each in (3, 100, 250, 9000, 200_000)]
        ['15 s', '105 s', '4 min', '2.5 h', '2.3 d']
    """
    if seconds < 120:
        return f"{max(15, 15 * round(seconds / 15))} s"
    for size, unit in ((86_400, "d"), (3600, "h")):
        if seconds >= 2 * size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{seconds / 60:.0f} min"
