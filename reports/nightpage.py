"""One self-contained HTML page for a run of a pipeline, as those of jobs are: no script, nothing fetched."""

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from reports import bars, numbers
from reports.charts import line_chart
from reports.fitting import MAX_BYTES, fitting
from reports.html import flat, gate_context
from reports.images import PictureBudget
from reports.night import DataPart, GatePart, LinePart, NightReport, StepRow, TrainPart
from reports.pages import fill, write_page
from reports.panels import line_panels

SPAN_HEIGHT = 12  # CSS pixels


def render_night(report: NightReport, *, max_bytes: int = MAX_BYTES) -> str:
    """Write the page; the same report gives the same text.

    Pictures that would take it beyond `max_bytes` are left out, and the page says which. Raises ReportError as
    `reports.html.render` does.
    """
    return fitting(lambda budget: _render_within(report, budget), max_bytes, f"pipeline run {report.run_id}")


def write_night(report: NightReport, path: Path, *, max_bytes: int = MAX_BYTES) -> Path:
    """Write the page to `path` in one step; gives the path.  Raises ReportError, and OSError."""
    return write_page(render_night(report, max_bytes=max_bytes), path)


def _render_within(report: NightReport, budget: PictureBudget) -> str:
    context = {
        "report": report,
        "spans": [_span(step) for step in report.steps],
        "gates": [_gate(part, budget) for part in report.gates],
        "data_sets": [_data(number, part, budget) for number, part in enumerate(report.data_sets)],
        "trainings": [_training(number, part) for number, part in enumerate(report.trainings)],
        "lines": [_line(number, part) for number, part in enumerate(report.lines)],
        "params": flat(report.params),
    }
    return fill("night.html.j2", context)


def _span(step: StepRow) -> Markup:
    """The time that a step took, on the axis of the whole run."""
    if step.began is None or step.took is None:
        return Markup()
    return Markup(
        '<svg class="span" width="100%" height="{height}" aria-hidden="true"><rect class="track" width="100%" y="5"'
        ' height="2"/><rect class="bar" x="{x:.2f}%" width="{width:.2f}%" y="2" height="8"/></svg>'
    ).format(height=SPAN_HEIGHT, x=100 * step.began, width=max(0.6, 100 * step.took))


def _gate(part: GatePart, budget: PictureBudget) -> Mapping[str, object]:
    context = {} if part.section is None else gate_context(part.section, budget)
    return {"part": part, "context": context}


def _training(number: int, part: TrainPart) -> Mapping[str, object]:
    quality = line_panels(f"quality-{number}", [part.quality], "Quality", part.levels) if part.quality else []
    return {
        "part": part,
        "quality": quality,
        "losses": line_panels(f"losses-{number}", part.losses, "Losses") if part.losses else [],
        "counts": _counts(f"classes-{number}", "Training images per class", part.counts, part.counts_before),
    }


def _data(number: int, part: DataPart, budget: PictureBudget) -> Mapping[str, object]:
    return {
        "part": part,
        "sheet": None if part.sheet is None else budget.embed(part.sheet),
        "counts": _counts(f"counts-{number}", "Images per class", part.counts, {}),
        "facts": flat(part.facts),
    }


def _counts(chart_id: str, title: str, counts: Mapping[str, int], before: Mapping[str, int]) -> Markup | None:
    if not counts:
        return None
    values = {name: float(count) for name, count in counts.items()}
    marks = {name: float(count) for name, count in before.items()}
    full = max([*values.values(), *(marks.get(name, 0.0) for name in values)])
    return bars.bar_chart(
        chart_id, values, title=title, text=lambda value: numbers.number_text(int(value)), full=full, references=marks
    )


def _line(number: int, part: LinePart) -> Mapping[str, object]:
    chart = line_chart(
        f"line-{number}",
        part.series,
        title=f"{part.measure} of the versions of {part.name}",
        levels=part.levels,
        along="version",
        whole=True,
    )
    return {"part": part, "chart": chart if part.series else None}
