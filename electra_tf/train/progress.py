"""What a run shows while it works: one live line in a terminal, plain lines elsewhere."""

import contextlib
import datetime
import os
import sys
import time
from collections.abc import Sequence


class Progress:
    """Prints one line per report, rewriting it in a terminal.

    Args:
        num_steps: where the run ends.
        headline: the `Metric`s to show beside the loss, in their order.
        stream: where to print.
        enabled: False for workers other than the chief.
    """

    def __init__(
        self,
        num_steps: int,
        headline: Sequence = (),
        stream=sys.stderr,
        enabled: bool = True,
    ):
        self._num_steps, self._stream, self._enabled = num_steps, stream, enabled
        self._names = ["loss", *(metric.name for metric in headline)]
        # Parts of the line by importance, the last being the first to go in a narrow terminal.
        losses = [metric.name for metric in headline if metric.is_loss]
        shares = [name for name in reversed(self._names[1:]) if name not in losses]
        self._importance = ["step", "loss", "tokens/s", "ETA", *shares, "of peak", *losses]
        self._live = stream.isatty()
        self._width = 0

    def report(
        self,
        step: int,
        metrics: dict[str, float],
        seconds_left: float,
        peak_share: float | None,
    ) -> None:
        """Shows step, losses, speed, share of the device's peak and time left."""
        left = datetime.timedelta(seconds=round(seconds_left))
        parts = {"step": f"step {step}/{self._num_steps}"}
        parts |= {name: f"{name} {metrics[name]:.3f}" for name in self._names if name in metrics}
        parts["tokens/s"] = f"{_short(metrics['tokens_per_second'])} tokens/s"
        if peak_share is not None:
            # A share above 1 is none: something else was running while the peak was measured.
            share = f"{peak_share:.0%} of" if peak_share <= 1 else "more than the measured"
            parts["of peak"] = f"{share} peak"
        parts["ETA"] = f"ETA {left}"
        if self._live:
            for name in reversed(self._importance):
                if len("  ".join(parts.values())) < self._columns():
                    break
                parts.pop(name, None)
        self._show("  ".join(parts.values()))

    def doing(self, text: str) -> None:
        """Shows what takes a while; the next line takes its place."""
        self._show(text[: self._columns() - 1] if self._live else text)

    def update(self, text: str) -> None:
        """As `doing`, but only in a terminal: for what changes often."""
        if self._live:
            self.doing(text)

    def message(self, text: str) -> None:
        """Prints a line that stays."""
        if self._enabled:
            self._clear()
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the last line where it is."""
        if self._enabled and self._width:
            print(file=self._stream, flush=True)
            self._width = 0

    def _show(self, line):
        if not self._live:
            self.message(line)
        elif self._enabled:
            self._clear()
            print(line, end="", file=self._stream, flush=True)
            self._width = len(line)

    def _columns(self):
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80

    def _clear(self):
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=self._stream)
            self._width = 0


class Clock:
    """Speed of host-loop calls, without what happens between them.

    The first call traces and compiles, so it counts only while there is no other.
    """

    def __init__(self):
        self._calls = []  # (steps, seconds) since the last take
        self._last = None
        self._is_warm = False

    @contextlib.contextmanager
    def timing(self, steps: int):
        """Times the block as one call of `steps` steps."""
        start = time.perf_counter()
        yield
        if self._last and not self._is_warm:
            self._calls.clear()
            self._is_warm = True
        self._last = steps, time.perf_counter() - start
        self._calls.append(self._last)

    def steps_in(self, seconds: float) -> int:
        """How many steps take this long, growing carefully from 1."""
        if self._last is None:
            return 1
        steps, took = self._last
        return max(1, min(int(steps * seconds / took), 4 * steps))

    def take(self) -> float:
        """Seconds per step since the last take."""
        steps, seconds = map(sum, zip(*self._calls, strict=True))
        self._calls.clear()
        return seconds / steps


def _short(number: float) -> str:
    return f"{number:,.0f}" if number < 1e5 else f"{number / 1e3:,.0f}k"


def brief(metrics: dict[str, float]) -> str:
    """Metrics in one line."""
    return "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
