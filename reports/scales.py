"""From values to places on a chart: linear and logarithmic scales with round tick values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reports.numbers import count_text, number_text

_NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_FLAT_SHARE = 1e-9  # a span smaller than this share of the values is shown as one value
_TINY = 1e-90  # a span or value below is shown as 0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps [low, high] onto [0, 1]; logarithmic if asked, and then low must be above 0."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Give the position of a value, 0 at low and 1 at high."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, count: int = 5) -> list[float]:
        """Give about `count` round values inside the scale, rising."""
        if self.logarithmic:
            return _log_ticks(self.low, self.high, count)
        return _linear_ticks(self.low, self.high, count)


def fit_scale(values: Sequence[float], *, logarithmic: bool = False, margin: float = 0.04) -> Scale:
    """Give the scale that holds all values with a margin (a share of the span); no value at all gives [0, 1].

    Values lie within ±1e100. A logarithmic scale is fitted to those above 0 alone, which are not below 1e-100.
    """
    usable = [value for value in values if value > 0] if logarithmic else list(values)
    if not usable:
        return Scale(low=1.0, high=10.0, logarithmic=True) if logarithmic else Scale(low=0.0, high=1.0)
    low, high = min(usable), max(usable)
    if logarithmic:
        factor = (high / low) ** margin if high > low * 1.001 else 2.0
        return Scale(low=low / factor, high=high * factor, logarithmic=True)
    if high - low > max(_FLAT_SHARE * max(abs(low), abs(high)), _TINY):
        pad = (high - low) * margin
    else:
        pad = abs(high) * 0.1 if abs(high) > _TINY else 1.0
    return Scale(low=low - pad, high=high + pad)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Write tick values as shortly as tells them apart."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest >= 1000 or 0 < largest < 1e-3:
        short = [_short(tick) for tick in ticks]
        if len(set(short)) == len(ticks):
            return short
    return _plain(ticks)


def _plain(ticks: Sequence[float]) -> list[str]:
    """Write without exponent, with the fewest decimals (up to 6) that give back every tick."""
    for decimals in range(7):
        texts = [f"{tick:,.{decimals}f}" for tick in ticks]
        if all(abs(round(tick, decimals) - tick) <= 1e-9 * abs(tick) for tick in ticks):
            break
    return [text.replace("-", "−") for text in texts]


def _short(tick: float) -> str:
    if 0 < abs(tick) < 1e-3 or abs(tick) >= 1e15:
        return number_text(tick)
    return count_text(tick)


def _linear_ticks(low: float, high: float, count: int) -> list[float]:
    step = _nice_step((high - low) / count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _nice_step(raw_step: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(raw_step))
    return next(nice * power for nice in _NICE_STEPS if nice * power >= raw_step * 0.999)


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    spread = math.log10(high / low)
    multiples = (1.0,) if spread >= 3 else (1.0, 3.0) if spread >= 1.5 else (1.0, 2.0, 5.0)
    stride = max(1, round(spread / count)) if spread >= 3 else 1
    values = [multiple * 10.0**decade for decade in decades[::stride] for multiple in multiples]
    inside = [value for value in values if low <= value <= high]
    return inside if len(inside) >= 2 else _linear_ticks(low, high, count)
