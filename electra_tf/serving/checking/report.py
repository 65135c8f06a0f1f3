"""What checking a bundle has found."""

import dataclasses

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"


@dataclasses.dataclass(frozen=True)
class Check:
    """One check: its name, PASSED, FAILED or SKIPPED, and what was seen, or why not."""

    name: str
    outcome: str
    detail: str

    def __str__(self) -> str:
        return f"{self.outcome:<8}{self.name}: {self.detail}"


@dataclasses.dataclass
class Report:
    """All checks of a bundle.

    Attributes:
        bundle: its directory.
        checks: in their order.
        latency: rows of the table, see `latency.measure`; empty where none was asked for.
    """

    bundle: str
    checks: list[Check] = dataclasses.field(default_factory=list)
    latency: list[dict] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed; what was skipped says the verdict."""
        return not self._names(FAILED)

    @property
    def verdict(self) -> str:
        """One line: whether the bundle can be served, and what was not looked at."""
        skipped = self._names(SKIPPED)
        not_checked = f"; not checked: {', '.join(skipped)}" if skipped else ""
        if self.passed:
            return f"{self.bundle} can be served{not_checked}"
        return f"{self.bundle} must not be served: {', '.join(self._names(FAILED))} failed" + (
            not_checked
        )

    def as_dict(self) -> dict:
        """For JSON: `bundle`, `passed`, `verdict`, `checks`, `latency`."""
        return {
            "bundle": self.bundle,
            "passed": self.passed,
            "verdict": self.verdict,
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "latency": self.latency,
        }

    def _names(self, outcome: str) -> list[str]:
        return [check.name for check in self.checks if check.outcome == outcome]
