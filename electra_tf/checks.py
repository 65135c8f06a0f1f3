"""Checks of configuration values. Each raises ValueError with the field, the rule and the value."""


def one_of(field, value, allowed):
    """`value` must be in `allowed`."""
    if value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(allowed)}. Received: {value!r}")


def at_least(field, value, low):
    """`value` must be `low` or more."""
    if not value >= low:
        raise ValueError(f"{field} must be at least {low}. Received: {value}")


def between(field, value, low, high, closed=(False, True)):
    """`value` must lie between `low` and `high`; `closed` tells which ends belong to it."""
    low_ok = value >= low if closed[0] else value > low
    high_ok = value <= high if closed[1] else value < high
    if not (low_ok and high_ok):
        interval = f"{'[' if closed[0] else '('}{low:g}, {high:g}{']' if closed[1] else ')'}"
        raise ValueError(f"{field} must be in {interval}. Received: {value}")


def divides(field, divisor, whole_name, whole):
    """`divisor` must be positive and divide `whole`, called `whole_name`."""
    if divisor < 1 or whole % divisor:
        raise ValueError(f"{field} must divide {whole_name}. "
                         f"Received: {divisor}, which does not divide {whole}")
