"""What a benchmark of reliability finds: figures beside their goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One measured number and the goal that the design sets for it."""

    name: str
    database: str
    statistic: str  # what of the sample was taken: "p99", "max"
    measured: float
    goal: float
    unit: str
    best: Literal["low", "high"] = "low"
    count: int = 1  # repetitions, jobs or rows that it rests upon
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.measured <= self.goal if self.best == "low" else self.measured >= self.goal


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated; the sample's own ends at both ends.

    >>> percentile([1.0, 2.0, 3.0], 0.5)
    2.0
    >>> percentile([1.0, 2.0], 0.99)
    1.99
    """
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def seconds_figure(
    name: str,
    database: str,
    seconds: Sequence[float],
    *,
    goal: float,
    statistic: str = "max",
    more: Mapping[str, float] | None = None,
) -> Figure:
    """A figure of durations, with the median, the rest of the distribution and `more` as details."""
    at = {"p50": median(seconds), "p95": percentile(seconds, 0.95), "p99": percentile(seconds, 0.99)}
    at["max"] = max(seconds)
    rounded = {key: round(value, 4) for key, value in at.items()}
    details = {**rounded, **(more or {})}
    return Figure(name, database, statistic, rounded[statistic], goal, "s", count=len(seconds), details=details)


def print_figure(figure: Figure) -> None:
    """One row of the table, and its details below."""
    sign = "≤" if figure.best == "low" else "≥"
    goal, measured = f"{sign} {figure.goal:g} {figure.unit}", f"{figure.measured:g} {figure.unit}"
    name = f"{figure.name} {figure.statistic}".strip()
    print(f"{name:44} {figure.database:11} {goal:>14} {measured:>16}  {'met' if figure.is_met else 'MISSED'}")
    rest = ", ".join(f"{key} {value:g}" for key, value in figure.details.items() if key != figure.statistic)
    print(f"    of {figure.count}{': ' + rest if rest else ''}", flush=True)


def print_head() -> None:
    """The table's head."""
    print(f"{'figure':44} {'database':11} {'goal':>14} {'measured':>16}  met", flush=True)
