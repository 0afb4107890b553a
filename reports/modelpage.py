"""One self-contained HTML page for a line of models, as those of jobs are: no script, nothing fetched."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.charts import line_chart
from reports.data import ImageSource
from reports.fitting import MAX_BYTES, fitting
from reports.html import LARGE_FRAME, MAX_FRAMES, flat
from reports.images import Picture, PictureBudget
from reports.modelline import MeasureLine, ModelReport, PictureRow, VersionPicture
from reports.pages import fill, write_page

MOST_COLUMNS = 12  # versions whose figures stand side by side
MOST_CHARTS = 12


def render_model(report: ModelReport, *, max_bytes: int = MAX_BYTES) -> str:
    """Write the page; the same report gives the same text.

    Pictures that would take it beyond `max_bytes` are left out, and the page says which. Raises ReportError as
    `reports.html.render` does.
    """
    return fitting(lambda budget: _render_within(report, budget), max_bytes, f"model {report.name}")


def write_model(report: ModelReport, path: Path, *, max_bytes: int = MAX_BYTES) -> Path:
    """Write the page to `path` in one step; gives the path.  Raises ReportError, and OSError."""
    return write_page(render_model(report, max_bytes=max_bytes), path)


def _render_within(report: ModelReport, budget: PictureBudget) -> str:
    drawn = [line for line in report.measures if _tells(line)]
    context = {
        "report": report,
        "rows": [_pictures(row, budget) for row in report.pictures],
        "charts": [(line, _chart(number, line)) for number, line in enumerate(drawn[:MOST_CHARTS])],
        "columns": _columns(report.measures),
        "table": _table(report.measures),
        "newest": flat(report.newest),
    }
    return fill("model.html.j2", context)


def _tells(line: MeasureLine) -> bool:
    """Whether a chart shows more than the table: some figure moves, or is held against a gate."""
    values = [set(series.values) for series in line.series if len(series.values) > 1]
    return any(len(found) > 1 for found in values) or bool(values and line.levels and line.is_asked)


def _chart(number: int, line: MeasureLine) -> object:
    title = f"{line.measure} of the versions"
    return line_chart(f"measure-{number}", line.series, title=title, levels=line.levels, along="version", whole=True)


def _columns(lines: Sequence[MeasureLine]) -> list[int]:
    """The newest versions of which anything was measured, rising."""
    known = {int(place) for line in lines for series in line.series for place in series.images_seen}
    return sorted(known)[-MOST_COLUMNS:]


def _table(lines: Sequence[MeasureLine]) -> list[tuple[str, str, list[float | None]]]:
    """Of each series its name, what is better, and its values by the columns."""
    columns = _columns(lines)
    return [
        (series.name, line.better or "", [_at(series.images_seen, series.values, column) for column in columns])
        for line in lines
        for series in line.series
        if {int(place) for place in series.images_seen} & set(columns)
    ]


def _at(places: Sequence[float], values: Sequence[float], column: int) -> float | None:
    return next((value for place, value in zip(places, values, strict=True) if place == column), None)


def _pictures(row: PictureRow, budget: PictureBudget) -> Mapping[str, object]:
    shown = budget.spread(row.pictures, _image, at_most=MAX_FRAMES)
    widths = [image.shown_width(LARGE_FRAME) for _, image in shown if isinstance(image, Picture)]
    return {"row": row, "pictures": shown, "width": max(widths, default=LARGE_FRAME)}


def _image(picture: VersionPicture) -> ImageSource:
    return picture.image
