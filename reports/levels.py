"""Values that the curves of a chart are held against: lines from side to side, each with its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
