"""Stages of a run in their order: numbered, timed, left out where their result is there."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence

from electra_tf.durations import duration
from electra_tf.runs.time_budget import TimeBudget


@dataclasses.dataclass
class Stage:
    """One part of a run.

    Attributes:
        title: what is printed.
        seconds: what it takes on the machine that estimates are of.
        work: does it.
        result: a file or directory that it makes; None: it is done every time.
        newer_than: a file; an older result counts as none.
    """

    title: str
    seconds: float
    work: Callable[[], object]
    result: str | None = None
    newer_than: str | None = None

    def is_done(self) -> bool:
        """Whether its result is there."""
        if self.result is None or not os.path.exists(self.result):
            return False
        if self.newer_than is None or not os.path.exists(self.newer_than):
            return self.newer_than is None
        return os.path.getmtime(self.result) >= os.path.getmtime(self.newer_than)


def run(stages: Sequence[Stage], budget: TimeBudget) -> None:
    """Does all that is not done yet, and prints how long it may still take.

    Args:
        stages: in their order; a stage may change the `seconds` of later ones.
        budget: of them all.
    """
    for number, stage in enumerate(stages, 1):
        left = [each for each in stages[number - 1 :] if not each.is_done()]
        told = budget.left(sum(each.seconds for each in left))
        print(f"\n[{number}/{len(stages)}] {stage.title} ({told})", flush=True)
        if stage.is_done():
            print(f"      already there: {stage.result}", flush=True)
            continue
        start = time.monotonic()
        stage.work()
        print(f"      {duration(time.monotonic() - start)}", flush=True)
