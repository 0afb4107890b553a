"""Means over seeds, with the interval in which they would lie were other seeds drawn."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
# The quantile 0.975 of Student's t, from 1 degree of freedom on.
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930,
)  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """A mean, and how far its 95 % interval reaches to either side; infinitely far for a single value."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """Its lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.mean + self.half


def interval(values: Sequence[float], *, is_exact: bool = False) -> Interval:
    """The mean of one to twenty values with Student's t-interval: values are taken for normal and independent.

    Of exact values the interval is that of all equal: no width. NaN and infinity go through to the mean.
    """
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
    if is_exact or math.isnan(mean):
        return Interval(mean, 0.0)
    if len(values) == 1:
        return Interval(mean, math.inf)
    deviation = statistics.stdev(values)
    return Interval(mean, _STUDENT[len(values) - 2] * deviation / math.sqrt(len(values)))
