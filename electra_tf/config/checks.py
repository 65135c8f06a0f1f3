"""Checks of configuration values. Each raises UserError with the field, the rule and the value."""

from electra_tf.errors import UserError


def one_of(field, value, allowed):
    """`value` must be in `allowed`."""
    if value not in allowed:
        raise UserError(f"{field} must be one of {', '.join(allowed)}. Received: {value!r:.200}")


def at_least(field, value, low):
    """`value` must be `low` or more."""
    if not value >= low:
        raise UserError(f"{field} must be at least {low}. Received: {value}")


def at_most(field, value, high):
    """`value` must be `high` or less."""
    if not value <= high:
        raise UserError(f"{field} must be at most {high}. Received: {value}")


def between(field, value, low, high, closed=(False, True)):
    """`value` must lie between `low` and `high`; `closed` tells which ends belong to it."""
    low_ok = value >= low if closed[0] else value > low
    high_ok = value <= high if closed[1] else value < high
    if not (low_ok and high_ok):
        interval = f"{'[' if closed[0] else '('}{low:g}, {high:g}{']' if closed[1] else ')'}"
        raise UserError(f"{field} must be in {interval}. Received: {value}")


def divides(field, divisor, whole_name, whole):
    """`divisor` must be positive and divide `whole`, called `whole_name`."""
    if divisor < 1 or whole % divisor:
        raise UserError(
            f"{field} must divide {whole_name}. Received: {divisor}, which does not divide {whole}"
        )
