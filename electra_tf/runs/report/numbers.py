"""Numbers as people read them."""

import math


def short(value: float) -> str:
    """A number with about four digits that count: 1,500, 0.8034, 3.2e-05."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "not finite"
    if isinstance(value, int) or value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 1e6:
        return large(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def large(value: float) -> str:
    """A number of operations: 1.23e15."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else f"{value:,.0f}"
