"""How long a bundle takes for batches of different sizes and lengths, in this process."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from electra_tf.errors import UserError
from electra_tf.serving.checking.contents import DEFAULT, Bundle
from electra_tf.serving.checking.requests import timing_request
from electra_tf.serving.checking.session import ServingSession

_LEAST_CALLS = 3


class LatencyPlan(NamedTuple):
    """What to measure.

    Attributes:
        batch_sizes, lengths: rows of a call and tokens of a row, each with each. For a length
            over the bundle's longest row that one is taken.
        seconds: for all of it; at least three calls of each kind are made, however long they take.
        signature: to call.
    """

    batch_sizes: tuple[int, ...] = (1, 8, 32)
    lengths: tuple[int, ...] = (16, 128)
    seconds: float = 20.0
    signature: str = DEFAULT

    def check(self, bundle: Bundle) -> None:
        """Raises UserError if there is nothing to measure by it."""
        if self.signature not in bundle.signatures:
            raise UserError(
                f"A signature to measure must be one of "
                f"{', '.join(bundle.signatures)}. Received: {self.signature}"
            )
        for name, values in (("batch_sizes", self.batch_sizes), ("lengths", self.lengths)):
            if not values or min(values) < 1:
                raise UserError(f"{name} must be numbers of at least 1. Received: {values}")
        if not self.seconds > 0:
            raise UserError(f"seconds must be more than 0. Received: {self.seconds}")


def measure(
    bundle: Bundle,
    session: ServingSession,
    plan: LatencyPlan,
    on_progress: Callable[[int, int], None] = lambda done, number: None,
) -> list[dict]:
    """Times calls with random words, one call after the other.

    Two calls of each kind are not counted. The clock runs from NumPy arrays to NumPy arrays:
    tokenization is in it, network and serialization of a server are not.

    Returns:
        For each batch size and length `batch_size`, `length`, `calls`, `p50_ms`, `p99_ms`,
        `rows_per_second`, `tokens_per_second`.

    Raises:
        UserError: the plan is none for this bundle, or the bundle fails.
    """
    plan.check(bundle)
    longest = bundle.max_seq_length or max(plan.lengths)
    lengths = dict.fromkeys(min(length, longest) for length in plan.lengths)
    kinds = [(rows, length) for rows in plan.batch_sizes for length in lengths]
    table = []
    for number, (rows, length) in enumerate(kinds):
        on_progress(number, len(kinds))
        random = np.random.default_rng(number)
        requests = [timing_request(bundle, plan.signature, rows, length, random) for _ in range(8)]
        seconds = _time(session, requests, plan.seconds / len(kinds))
        total = len(seconds) * rows / sum(seconds)
        p50, p99 = 1000 * np.percentile(seconds, [50, 99])
        table.append(
            {
                "batch_size": rows,
                "length": length,
                "calls": len(seconds),
                "p50_ms": float(p50),
                "p99_ms": float(p99),
                "rows_per_second": total,
                "tokens_per_second": total * length,
            }
        )
    on_progress(len(kinds), len(kinds))
    return table


def describe(table: list[dict]) -> list[str]:
    """The table as lines of text."""
    lines = ["batch  length   calls    p50 ms    p99 ms    rows/s   tokens/s"]
    for row in table:
        lines.append(
            f"{row['batch_size']:>5}{row['length']:>8}{row['calls']:>8}"
            f"{row['p50_ms']:>10.2f}{row['p99_ms']:>10.2f}"
            f"{row['rows_per_second']:>10.1f}{row['tokens_per_second']:>11.0f}"
        )
    return lines


def _time(session: ServingSession, requests: list, budget: float) -> list[float]:
    for request in requests[:2]:
        session.answer(request)
    seconds = []
    while len(seconds) < _LEAST_CALLS or sum(seconds) < budget:
        start = time.perf_counter()
        session.answer(requests[len(seconds) % len(requests)])
        seconds.append(time.perf_counter() - start)
    return seconds
