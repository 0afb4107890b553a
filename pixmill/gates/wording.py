"""Figures as the lines of gates have them."""

import math

from pixmill.gates.intervals import Interval
from pixmill.gates.measures import Measure


def figure_text(name: str, note: str, found: Interval, measure: Measure) -> str:
    """A figure with its interval: `kid 0.012 ± 0.003`, or `class_share (class '8') 0.2 ± 0.01`."""
    unit = f" {measure.unit}" if measure.unit else ""
    spread = "" if measure.is_exact or not math.isfinite(found.half) else f" ± {_number(found.half)}"
    head = " ".join(part for part in (name, f"({note})" if note else "") if part)
    return f"{head} {_number(found.mean)}{spread}{unit}".lstrip()


def worse_text(worse: Interval, *, is_share: bool) -> str:
    """By how much one side is worse, with the ends of the interval: `worse by 0.003 (95 %: -0.001 to 0.007)`."""

    def shown(value: float) -> str:
        return f"{_number(value * 100)} %" if is_share else _number(value)

    if math.isnan(worse.mean):
        return "not to be compared"
    way = "worse" if worse.mean > 0 else "better" if worse.mean < 0 else "equal"
    by = "" if way == "equal" else f" by {shown(abs(worse.mean))}"
    if worse.half == 0:
        return f"{way}{by}"
    # Seen from the side that the mean is on, so that both ends have its sign where chance cannot turn it.
    ends = (worse.low, worse.high) if worse.mean >= 0 else (-worse.high, -worse.low)
    return f"{way}{by} (95 %: {shown(ends[0])} to {shown(ends[1])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 and math.isfinite(value) else f"{value:.3g}"
