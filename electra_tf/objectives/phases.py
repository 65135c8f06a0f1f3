"""Phases of a run: which loss terms and which weights are trained, from which step on."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        name: for messages.
        num_steps: its length; the last phase of a run lasts to the run's end, whatever it says.
        terms: loss terms that count; None for all. Every trained weight must depend on one.
        trains: beginnings of the paths of the weights that are trained. The others keep their
            values and their optimizer's state.
        copies: weights that are set when the phase begins, before its first step: beginnings of
            paths, to those of the weights whose values they take.
    """

    name: str = "whole run"
    num_steps: int = 0
    terms: tuple[str, ...] | None = None
    trains: tuple[str, ...] = ("",)
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def is_trained(self, path: str) -> bool:
        """Whether the weight of this path is trained."""
        return path.startswith(self.trains)

    def source(self, path: str) -> str | None:
        """Path of the weight whose value this one takes when the phase begins; None for its own."""
        for target, source in self.copies.items():
            if path.startswith(target):
                return source + path.removeprefix(target)
        return None


class Timeline:
    """The phases of a run, one after the other: each is a function of the step.

    Args:
        phases: at least one.
    """

    def __init__(self, phases: tuple[Phase, ...]):
        self._phases, self._starts = phases, [0]
        for phase in phases[:-1]:
            self._starts.append(self._starts[-1] + phase.num_steps)

    def at(self, step: int) -> tuple[Phase, int, int | None]:
        """The phase of a step with its first step and the next phase's (None after the last)."""
        number = max(n for n, start in enumerate(self._starts) if start <= step)
        following = self._starts[number + 1 :]
        return self._phases[number], self._starts[number], following[0] if following else None

    def lengths(self, num_steps: int) -> list[tuple[Phase, int]]:
        """Every phase with the number of steps that it has in a run of `num_steps`."""
        ends = [min(start, num_steps) for start in (*self._starts[1:], num_steps)]
        return [
            (phase, max(end - start, 0))
            for phase, start, end in zip(self._phases, self._starts, ends, strict=True)
        ]

    def trains(self, path: str) -> bool:
        """Whether any phase trains a weight."""
        return any(phase.is_trained(path) for phase in self._phases)

    def idle_steps(self, path: str, step: int) -> int:
        """How many steps before the phase of `step` have not trained a weight."""
        start = self.at(step)[1]
        return sum(
            phase.num_steps
            for phase, begin in zip(self._phases, self._starts, strict=True)
            if begin < start and not phase.is_trained(path)
        )
