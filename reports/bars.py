"""Bars per class and the strip that shows a metric between its controls, as SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.data import MetricLine
from reports.scales import Scale

MAX_BARS = 40
NAME_LENGTH = 16  # characters of a class name beside its bar; the full name is in the tooltip
ROW_HEIGHT = 20  # CSS pixels
STRIP_HEIGHT = 22  # CSS pixels
LOG_STRIP_FROM = 30.0  # times; a wider span between controls gets a logarithmic strip


_FRAME = Markup(
    '<div class="chart bars" style="--names:{characters}ch"><svg class="plot" role="img" width="100%" height="{height}"'
    ' aria-labelledby="{id}-title {id}-desc">\n'
    '<title id="{id}-title">{title}</title><desc id="{id}-desc">{desc}</desc>\n{rows}</svg>{note}</div>'
)
_ROW = Markup(
    '<svg y="{y}" height="{height}"><title>{name}: {value}</title>'
    '<text class="bar-name" x="-8" y="9">{short}</text><rect class="track" width="100%" y="3" height="12"/>'
    '<rect class="bar" width="{share:.2f}%" y="3" height="12"/>{mark}'
    '<text class="bar-value" x="100%" dx="8" y="9">{value}</text></svg>\n'
)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a bar chart: a name, its value, and the value to compare with (a thin mark), if any."""

    name: str
    value: float
    reference: float | None = None


def bar_chart(
    chart_id: str,
    values: Mapping[str, float],
    *,
    title: str,
    text: Callable[[float], str],
    full: float | None = None,
    references: Mapping[str, float] | None = None,
) -> Markup:
    """Draw one horizontal bar a class, values written by `text`; `full` (default: the greatest) has the full width.

    More than 40 classes: the 40 lowest are drawn, lowest first, and the chart says so.
    Values below 0 or not finite are drawn as 0 and written as they are.
    """
    if not values:
        return Markup('<p class="nothing">{}: no classes.</p>').format(title)
    marks = references or {}
    bars = [Bar(name=name, value=value, reference=marks.get(name)) for name, value in values.items()]
    shown = _lowest(bars)
    top = full or max((bar.value for bar in bars if math.isfinite(bar.value)), default=0.0) or 1.0
    rows = [_bar_row(index, bar, top, text) for index, bar in enumerate(shown)]
    return _FRAME.format(
        characters=max(len(_shortened(bar.name)) for bar in shown),
        id=chart_id,
        height=ROW_HEIGHT * len(shown),
        title=title,
        desc=_bars_description(shown, text),
        rows=Markup().join(rows),
        note=_bars_note(len(shown), len(bars)),
    )


def metric_strip(metric: MetricLine, titles: Mapping[str, str] | None = None, others: Sequence[float] = ()) -> Markup:
    """Draw where the value lies between real images, copies and noise: a diamond among a bar, a circle and a saw-tooth.

    The axis runs from the lowest to the highest of the four, logarithmic if they are positive and far apart. `titles`
    name the controls, by the mark, where they are others than `real`, `copies` and `noise`. The axis also reaches to
    `others`, so that strips below each other may have the same.
    """
    points = {**metric.marks, "value": metric.value}
    known = {kind: value for kind, value in points.items() if value is not None and math.isfinite(value)}
    if len(known) < 2 or "value" not in known or min(known.values()) == max(known.values()):
        return Markup('<span class="nothing">no control to compare with</span>')
    scale = _strip_scale([*known.values(), *(value for value in others if math.isfinite(value))])
    marks = [_strip_mark(kind, scale.place(value)) for kind, value in known.items()]
    names = titles or {}
    title = f"{metric.name}: " + ", ".join(f"{names.get(kind, kind)} {value:.3g}" for kind, value in known.items())
    return Markup(
        '<svg class="strip" role="img" width="100%" height="{height}"><title>{title}</title>'
        '<line class="axis" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>{marks}</svg>{note}'
    ).format(
        height=STRIP_HEIGHT,
        middle=STRIP_HEIGHT / 2,
        title=title,
        marks=Markup().join(marks),
        note=Markup('<span class="note">log</span>') if scale.logarithmic else "",
    )


def strip_mark(kind: str) -> Markup:
    """Draw one of the strip's marks (`real`, `copies`, `noise`, `value`) alone, for a legend."""
    return Markup('<svg class="strip key" width="16" height="{}" aria-hidden="true">{}</svg>').format(
        STRIP_HEIGHT, _strip_mark(kind, 0.5)
    )


def _lowest(bars: list[Bar]) -> list[Bar]:
    if len(bars) <= MAX_BARS:
        return bars
    return sorted(bars, key=lambda bar: bar.value if math.isfinite(bar.value) else -math.inf)[:MAX_BARS]


def _bar_row(index: int, bar: Bar, top: float, text: Callable[[float], str]) -> Markup:
    share = _share(bar.value, top)
    mark = Markup()
    if bar.reference is not None:
        place = f"{100 * _share(bar.reference, top):.2f}%"
        mark = Markup('<line class="reference" x1="{x}" x2="{x}" y1="1" y2="17"/>').format(x=place)
    return _ROW.format(
        y=index * ROW_HEIGHT,
        height=ROW_HEIGHT,
        name=bar.name,
        short=_shortened(bar.name),
        value=text(bar.value),
        share=100 * share,
        mark=mark,
    )


def _share(value: float, top: float) -> float:
    return min(max(value / top, 0.0), 1.0) if math.isfinite(value) else 0.0


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def _bars_description(bars: list[Bar], text: Callable[[float], str]) -> str:
    return "; ".join(f"{bar.name} {text(bar.value)}" for bar in bars)


def _bars_note(shown: int, total: int) -> Markup:
    if shown == total:
        return Markup()
    return Markup('<p class="note">The {} lowest of {:,} classes, lowest first.</p>').format(shown, total)


def _strip_scale(values: list[float]) -> Scale:
    low, high = min(values), max(values)
    return Scale(low=low, high=high, logarithmic=low > 0 and high > LOG_STRIP_FROM * low)


_STRIP_SHAPES = {
    "real": Markup('<path class="mark-real" d="M0-8V8"/>'),
    "copies": Markup('<circle class="mark-copies" r="4"/>'),
    "noise": Markup('<path class="mark-noise" d="M0-8L-3-4L3 0L-3 4L0 8"/>'),
    "value": Markup('<path class="mark-value" d="M0-6L6 0L0 6L-6 0Z"/>'),
}


def _strip_mark(kind: str, place: float) -> Markup:
    return Markup('<svg class="mark" x="{:.2f}%" y="50%">{}</svg>').format(100 * place, _STRIP_SHAPES[kind])
