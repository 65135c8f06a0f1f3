"""What the numbers of some seeds come to, and whether two rows differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats


def summary(values: Sequence[float]) -> dict[str, Any]:
    """`n`, `mean` and `standard_deviation` of a sample, which one value alone has none of."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"n": len(values), "mean": float(np.mean(values)), "standard_deviation": deviation}


def paired(values: Mapping[Any, float], reference: Mapping[Any, float]) -> dict[str, Any]:
    """A paired t test of a row against another one, over the seeds that both have.

    Two-sided, and not corrected for the number of comparisons.

    Args:
        values, reference: by seed.

    Returns:
        `n`, the number of pairs; `difference`, the mean of value - reference; `t` and `p`, None
        where there is one pair or all differences are equal.
    """
    seeds = sorted(values.keys() & reference.keys())
    differences = np.array([values[seed] - reference[seed] for seed in seeds])
    if not seeds:
        return {"n": 0, "difference": None, "t": None, "p": None}
    mean, n = float(differences.mean()), len(seeds)
    error = float(np.std(differences, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    if error <= 1e-12 * max(1.0, abs(mean)):  # rounding alone
        return {"n": n, "difference": mean, "t": None, "p": None}
    t = mean / error
    return {"n": n, "difference": mean, "t": t, "p": float(2 * stats.t.sf(abs(t), n - 1))}
