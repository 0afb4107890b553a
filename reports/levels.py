"""Values that the curves of a chart are held against: lines from side to side, each with its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.numbers import number_text

_LEVEL = Markup(
    '<line class="level" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
    '<text class="level-text" x="100%" y="{y:.1f}" dy="-5">{name} {value}</text>\n'
)


@dataclass(frozen=True, kw_only=True)
class Level:
    """A named value."""

    name: str
    value: float


def draw_levels(levels: Sequence[Level], top: Callable[[float], float]) -> Markup:
    """Draw each; `top` gives the pixels from the top for a value."""
    lines = [_LEVEL.format(y=top(level.value), name=level.name, value=number_text(level.value)) for level in levels]
    return Markup().join(lines)


def level_words(level: Level) -> str:
    """What a reader is told who does not see the chart."""
    return f"{level.name}: a line at {number_text(level.value)}."


_BOUNDS = {"max": "at most", "min": "at least"}


def gate_levels(limits: Mapping[str, Any] | None) -> list[Level]:
    """The lines that one gate of a gate file draws."""
    found = limits or {}
    return [
        Level(name=f"gate: {words}", value=float(found[bound]))
        for bound, words in _BOUNDS.items()
        if found.get(bound) is not None
    ]


def gate_words(limits: Mapping[str, Any] | None) -> str:
    """What the last gate asks of a measure, in a sentence.

    >>> gate_words({"max": 0.2, "worse_by": 0.02})
    'The last gate asks: at most 0.2; worse than the champion by no more than 0.02.'
    >>> gate_words(None)
    'No gate asks for it.'
    """
    found = limits or {}
    words = [f"{words} {found[bound]:g}" for bound, words in _BOUNDS.items() if found.get(bound) is not None]
    if found.get("worse_by") is not None:
        words.append(f"worse than the champion by no more than {found['worse_by']:g}")
    if found.get("worse_by_share") is not None:
        words.append(f"worse than the champion by no more than {found['worse_by_share']:.0%}")
    return f"The last gate asks: {'; '.join(words)}." if words else "No gate asks for it."
