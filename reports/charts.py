"""Line charts as SVG, drawn here so that a report needs no script.

Horizontal places are percentages and text is in CSS pixels, so that a chart fills any width with legible type:
a phone gets a narrower plot, not smaller letters. Colours come from the page's style sheet (`.series-0` …), which
knows light and dark; every series has a dash pattern too, for readers and printers without colour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from reports.curves import FloatArray, drawable, smooth, thin
from reports.data import Series
from reports.levels import Level, draw_levels, level_words
from reports.numbers import number_text
from reports.scales import Scale, fit_scale, tick_texts

MAX_POINTS = 2000  # drawn per curve
PLOT_HEIGHT = 220  # CSS pixels
VIEW_WIDTH = 1000  # units of the stretched view box, whatever the width on screen
STYLE_COUNT = 6  # colours and dash patterns in the style sheet
SMOOTHED_FROM = 40  # points; a shorter curve is drawn as it is, with a dot for each point
MARKS_SHOWN = 50  # crosses for values that are not finite

_FRAME = Markup(
    '<div class="chart"><svg class="plot" role="img" width="100%" height="{height}"'
    ' aria-labelledby="{id}-title {id}-desc">\n'
    '<title id="{id}-title">{title}</title><desc id="{id}-desc">{desc}</desc>\n'
    "{grid}{view}{marks}</svg>\n{legend}</div>"
)
_Y_TICK = Markup(
    '<line class="rule" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
    '<text class="tick-y" x="-8" y="{y:.1f}">{text}</text>\n'
)
_X_TICK = Markup(
    '<line class="tick" x1="{x}" x2="{x}" y1="{base}" y2="{end}"/>'
    '<text class="tick-x" x="{x}" y="{base}" dy="18">{text}</text>\n'
)
_X_AXIS = Markup(
    '<line class="axis" x1="0" x2="100%" y1="{base}" y2="{base}"/>'
    '<text class="label-x" x="100%" y="{base}" dy="36">{along}</text>\n'
)
_BEST = Markup(
    '<circle class="best series-{style}" cx="{x}" cy="{y:.1f}" r="6.5"/>'
    '<text class="best-text {side}" x="{x}" y="{y:.1f}" dy="-13">best {value}</text>\n'
)
_LEGEND_ITEM = Markup(
    '<li><svg class="swatch" width="28" height="10" aria-hidden="true">'
    '<path class="curve series-{style}" d="M1 5H27"/></svg>{name}{note}</li>\n'
)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A series as it is drawn: its style, its data and the smoothed line over it, if any."""

    style: int
    series: Series
    positions: FloatArray
    values: FloatArray
    smoothed: FloatArray | None


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The two scales of a chart, and what the horizontal one counts; `whole`: nothing stands between two numbers."""

    x: Scale
    y: Scale
    along: str = "images seen"
    whole: bool = False

    def left(self, images_seen: float) -> str:
        """Give the horizontal place as a percentage."""
        return f"{100 * self.x.place(images_seen):.2f}%"

    def top(self, value: float) -> float:
        """Give the vertical place in pixels from the top."""
        return PLOT_HEIGHT * (1 - self.y.place(value))


def line_chart(
    chart_id: str,
    series: Sequence[Series],
    *,
    title: str,
    logarithmic: bool = False,
    levels: Sequence[Level] = (),
    along: str = "images seen",
    whole: bool = False,
) -> Markup:
    """Draw series over the number of images seen, each raw and (if long) smoothed, with legend and description.

    `chart_id` must be unique on the page. Values that are not finite are marked by crosses on the lower edge;
    a logarithmic axis leaves out values of 0 and below and says how many. `along` names what is counted instead of
    images, and `whole` says that only whole numbers of it are.
    """
    if not any(drawable(_values(line), logarithmic=logarithmic).any() for line in series):
        return Markup('<p class="nothing">{}: no values were recorded.</p>').format(title)
    curves = [_curve(index, line, logarithmic) for index, line in enumerate(series)]
    held = [level for level in levels if drawable(np.array([level.value]), logarithmic=logarithmic).all()]
    axes = replace(_axes(curves, logarithmic, [level.value for level in held]), along=along, whole=whole)
    return _FRAME.format(
        id=chart_id,
        height=PLOT_HEIGHT + 42,
        title=title,
        desc=_description(curves, logarithmic, along, held),
        grid=_grid(axes),
        view=_view(curves, axes),
        marks=draw_levels(held, axes.top) + _marks(curves, axes),
        legend=_legend(curves, logarithmic),
    )


def wants_logarithm(series: Iterable[Series]) -> bool:
    """Tell whether the curves span so much (more than a factor of 10 above 0) that a logarithmic axis shows more."""
    positive = [values[drawable(values, logarithmic=True)] for values in map(_values, series)]
    joined = np.concatenate(positive) if positive else np.empty(0)
    return joined.size >= 2 and bool(joined.max() > 10 * joined.min())


def _values(series: Series) -> FloatArray:
    return np.asarray(series.values, dtype=np.float64)


def _curve(index: int, series: Series, logarithmic: bool) -> Curve:
    positions, values = np.asarray(series.images_seen, dtype=np.float64), _values(series)
    smoothed = smooth(values, half_life_points=len(values) / 60) if len(values) >= SMOOTHED_FROM else None
    shown = np.where(drawable(values, logarithmic=logarithmic), values, np.nan)
    return Curve(style=index % STYLE_COUNT, series=series, positions=positions, values=shown, smoothed=smoothed)


def _axes(curves: Sequence[Curve], logarithmic: bool, levels: Sequence[float]) -> Axes:
    heights = [*levels] + [height for curve in curves for height in curve.values[np.isfinite(curve.values)].tolist()]
    positions = [
        place
        for curve in curves
        for place in (curve.positions.min(initial=np.inf), curve.positions.max(initial=-np.inf))
    ]
    finite = [float(place) for place in positions if np.isfinite(place)]
    return Axes(x=fit_scale(finite, margin=0.0), y=fit_scale(heights, logarithmic=logarithmic))


def _grid(axes: Axes) -> Markup:
    x_ticks, y_ticks = axes.x.ticks(), axes.y.ticks()
    if axes.whole:
        x_ticks = [tick for tick in x_ticks if abs(tick - round(tick)) < 1e-9]
    rows = [
        _Y_TICK.format(y=axes.top(tick), text=text) for tick, text in zip(y_ticks, tick_texts(y_ticks), strict=True)
    ]
    columns = [
        _X_TICK.format(x=axes.left(tick), base=PLOT_HEIGHT, end=PLOT_HEIGHT + 4, text=text)
        for tick, text in zip(x_ticks, tick_texts(x_ticks), strict=True)
    ]
    return Markup().join([*rows, *columns, _X_AXIS.format(base=PLOT_HEIGHT, along=axes.along)])


def _view(curves: Sequence[Curve], axes: Axes) -> Markup:
    paths = [path for curve in curves for path in _curve_paths(curve, axes)]
    return Markup(
        '<svg width="100%" height="{height}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">{paths}</svg>\n'
    ).format(width=VIEW_WIDTH, height=PLOT_HEIGHT, paths=Markup().join(paths))


def _curve_paths(curve: Curve, axes: Axes) -> list[Markup]:
    path = Markup('<path class="curve{kind} series-{style}" d="{d}"/>')
    if curve.smoothed is None:
        return [path.format(kind="", style=curve.style, d=_path(curve.positions, curve.values, axes))]
    smoothed = np.where(np.isfinite(curve.values), curve.smoothed, np.nan)
    if axes.y.logarithmic:
        smoothed = np.where(smoothed > 0, smoothed, np.nan)
    return [
        path.format(kind=" raw", style=curve.style, d=_path(curve.positions, curve.values, axes)),
        path.format(kind="", style=curve.style, d=_path(curve.positions, smoothed, axes)),
    ]


def _path(positions: FloatArray, values: FloatArray, axes: Axes) -> str:
    """Write the path data; a gap lifts the pen, and a lone point becomes a dot (a line of length 0 with round ends)."""
    pieces: list[str] = []
    pen = "M"
    for position, value in zip(*thin(positions, values, MAX_POINTS), strict=True):
        if not np.isfinite(value):
            pen = "M"
            continue
        pieces.append(
            f"{pen}{VIEW_WIDTH * axes.x.place(position):.1f} {axes.top(value):.1f}{'h0' if pen == 'M' else ''}"
        )
        pen = "L"
    return "".join(pieces)


def _marks(curves: Sequence[Curve], axes: Axes) -> Markup:
    return Markup().join(
        [
            *(mark for curve in curves for mark in _dots(curve, axes)),
            *_crosses(curves, axes),
            *_best_marks(curves, axes),
        ]
    )


def _dots(curve: Curve, axes: Axes) -> list[Markup]:
    if curve.smoothed is not None:
        return []
    dot = Markup('<circle class="dot series-{style}" cx="{x}" cy="{y:.1f}" r="2.5"/>\n')
    return [
        dot.format(style=curve.style, x=axes.left(position), y=axes.top(value))
        for position, value in zip(curve.positions, curve.values, strict=True)
        if np.isfinite(value)
    ]


def _not_finite(curve: Curve) -> FloatArray:
    """Give the positions of values that are NaN, infinite or as good as infinite."""
    return curve.positions[~drawable(_values(curve.series))]


def _crosses(curves: Sequence[Curve], axes: Axes) -> list[Markup]:
    cross = Markup('<svg class="cross series-{style}" x="{x}" y="{y}"><path d="M-4-4L4 4M-4 4L4-4"/></svg>\n')
    return [
        cross.format(style=curve.style, x=axes.left(position), y=PLOT_HEIGHT)
        for curve in curves
        for position in _spread(_not_finite(curve))
    ]


def _spread(positions: FloatArray) -> FloatArray:
    if len(positions) <= MARKS_SHOWN:
        return positions
    return positions[np.linspace(0, len(positions) - 1, MARKS_SHOWN).astype(np.int64)]


def _best_marks(curves: Sequence[Curve], axes: Axes) -> list[Markup]:
    marks = []
    for curve in curves:
        best = curve.series.best()
        if best and drawable(np.array([best[1]]), logarithmic=axes.y.logarithmic).all():
            share = axes.x.place(best[0])
            side = "at-start" if share < 0.12 else "at-end" if share > 0.88 else ""
            y = axes.top(best[1])
            marks.append(
                _BEST.format(style=curve.style, x=axes.left(best[0]), y=y, side=side, value=number_text(best[1]))
            )
    return marks


def _legend(curves: Sequence[Curve], logarithmic: bool) -> Markup:
    items = [
        _LEGEND_ITEM.format(style=curve.style, name=curve.series.name, note=_legend_note(curve, logarithmic))
        for curve in curves
    ]
    smoothed = any(curve.smoothed is not None for curve in curves)
    how = Markup("<li>pale: every value; strong: exponential moving average</li>\n") if smoothed else Markup()
    return Markup('<ul class="legend">\n{}{}</ul>').format(Markup().join(items), how)


def _legend_note(curve: Curve, logarithmic: bool) -> Markup:
    values = _values(curve.series)
    finite = values[drawable(values)]
    notes = [f"last {number_text(float(finite[-1]))}"] if finite.size else []
    if lost := len(values) - finite.size:
        notes.append(f"{number_text(lost)} not finite, marked ×")
    if logarithmic and (low := int((finite <= 0).sum())):
        notes.append(f"{number_text(low)} at or below 0 not shown")
    return Markup(' <span class="note">{}</span>').format(" · ".join(notes))


def _description(curves: Sequence[Curve], logarithmic: bool, along: str, levels: Sequence[Level]) -> str:
    axis = "a logarithmic" if logarithmic else "a linear"
    parts = [_curve_description(curve.series) for curve in curves]
    parts += [level_words(level) for level in levels]
    return f"Line chart over {along}, on {axis} axis. {' '.join(parts)}"


def _curve_description(series: Series) -> str:
    values = _values(series)
    finite = values[drawable(values)]
    if not finite.size:
        return f"{series.name}: no finite value."
    low, high, last = (number_text(float(value)) for value in (finite.min(), finite.max(), finite[-1]))
    return f"{series.name}: {len(values)} values from {low} to {high}, the last {last}."
