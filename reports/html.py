"""One self-contained HTML page for a job: no script, nothing fetched, every text escaped."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports import bars, numbers, summary
from reports.data import Confusion, Grid, ImageSource, JobReport
from reports.fitting import MAX_BYTES, fitting
from reports.gates import GateSection
from reports.images import Embedded, Picture, PictureBudget
from reports.pages import fill, write_page
from reports.panels import line_panels

MAX_FRAMES = 12  # sample grids over time
SMALL_FRAME = 166  # CSS pixels, six in a row
LARGE_FRAME = 256  # CSS pixels, four in a row
WIDE_FRAME = 524  # CSS pixels, two in a row
WIDE = 3  # times as wide as high
MAX_CONFUSION_CLASSES = 50
MAX_SPEC_CHARACTERS = 100_000


def render(report: JobReport, *, max_bytes: int = MAX_BYTES) -> str:
    """Write the page; the same report gives the same text.

    Pictures that would take it beyond `max_bytes` are left out and the page says which; none is ever made lossy.
    A time without zone, an array that is no picture or a text that alone exceeds `max_bytes` raises ReportError.
    """
    return fitting(lambda budget: _render_within(report, budget), max_bytes, f"job {report.job_id}")


def write(report: JobReport, path: Path, *, max_bytes: int = MAX_BYTES) -> Path:
    """Write the page to `path` in one step, so that no reader meets half a page; give the path back.

    Raises ReportError as `render` does, and OSError if the file cannot be written.
    """
    return write_page(render(report, max_bytes=max_bytes), path)


def _render_within(report: JobReport, budget: PictureBudget) -> str:
    return fill("report.html.j2", _context(report, budget))


def _context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    return {
        "report": report,
        "verdict": summary.verdict(report),
        "figures": summary.key_figures(report),
        "train": _train_context(report, budget),
        "generate": _generate_context(report, budget),
        "evaluate": _evaluate_context(report, budget),
        "gate": _gate_context(report, budget),
        "compress": _compress_context(report, budget),
        "decompress": _decompress_context(report, budget),
        "left": flat(report.left),
        "pictures": [(item.caption, budget.embed(item.image)) for item in report.pictures],
        "spec": _spec_text(report.spec),
    }


def _train_context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    section = report.train
    if section is None:
        return {}
    grids = sorted(section.grids, key=lambda grid: grid.images_seen)
    latest = (grids[-1], budget.embed(grids[-1].image)) if grids else None
    reals = budget.embed(section.reals) if section.reals is not None else None
    frames = budget.spread(grids, _grid_image, at_most=MAX_FRAMES) if len(grids) > 1 else []
    columns, frame_width = _frame_layout([picture for _, picture in frames])
    return {
        "latest": latest,
        "hero_width": 1024 if latest and _is_wide(latest[1]) else 512,
        "reals": reals,
        "frames": frames,
        "columns": columns,
        "frame_width": frame_width,
        "grid_count": len(grids),
        "losses": line_panels("losses", section.losses, "Losses during training"),
        "quality": line_panels("quality", [section.quality], "Quality during training") if section.quality else [],
        "model": flat(section.model),
        **_classes_context("held-out", section.per_class_accuracy, {}, section.confusion),
    }


def _classes_context(
    chart_id: str,
    accuracies: Mapping[str, float],
    references: Mapping[str, float],
    confusion: Confusion | None,
) -> dict[str, object]:
    """How each class is recognised: bars, and the table of true and predicted classes."""
    accuracy = bars.bar_chart(
        chart_id,
        accuracies,
        title="Accuracy per class",
        text=numbers.percent_text,
        full=1.0,
        references=references,
    )
    return {"accuracy": accuracy, "confusion": _confusion_rows(confusion), "confusion_size": MAX_CONFUSION_CLASSES}


def _frame_layout(frames: Sequence[Embedded]) -> tuple[int, int]:
    """Choose six frames a row, or fewer of frames too wide for that; give the width of a frame in CSS pixels too."""
    pictures = [frame for frame in frames if isinstance(frame, Picture)]
    if not pictures:
        return 6, SMALL_FRAME
    columns, target = 6, SMALL_FRAME
    if max(picture.width for picture in pictures) > SMALL_FRAME:
        columns, target = (2, WIDE_FRAME) if all(map(_is_wide, pictures)) else (4, LARGE_FRAME)
    return columns, max(picture.shown_width(target) for picture in pictures)


def _is_wide(picture: Embedded) -> bool:
    """Whether it is a strip, such as sequences frame by frame, that would be too low beside another picture."""
    return isinstance(picture, Picture) and picture.width >= WIDE * picture.height


def _generate_context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    section = report.generate
    if section is None:
        return {}
    counts = {name: float(count) for name, count in section.counts.items()}
    return {
        "animations": [(one.caption, budget.embed(one.image)) for one in section.animations],
        "contact_sheet": budget.embed(section.contact_sheet) if section.contact_sheet is not None else None,
        "counts": bars.bar_chart(
            "counts", counts, title="Images per class", text=lambda value: numbers.number_text(int(value))
        ),
        "columns": list(dict.fromkeys(column for row in section.manifest_rows for column in row)),
        "model": flat(section.model),
        "edit": flat(section.edit),
        "choice": flat(section.choice),
    }


def _evaluate_context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    section = report.evaluate
    if section is None:
        return {}
    neighbours = [
        (budget.embed(row.generated), [budget.embed(image) for image in row.nearest], row.distances)
        for row in section.neighbours
    ]
    return {
        **_classes_context("accuracy", section.per_class_accuracy, section.per_class_accuracy_real, section.confusion),
        "neighbours": neighbours,
        "neighbour_sheet": budget.embed(section.neighbour_sheet) if section.neighbour_sheet is not None else None,
        "widest": max((len(row.nearest) for row in section.neighbours), default=0) or 1,
        "has_distances": any(len(row.distances) for row in section.neighbours),
    }


def _gate_context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    return {} if report.gate is None else gate_context(report.gate, budget)


def gate_context(section: GateSection, budget: PictureBudget) -> dict[str, object]:
    """What gate.html.j2 needs beside the section."""
    return {
        "strips": None if section.strips is None else budget.embed(section.strips),
        "sheets": [(name, budget.embed(path)) for name, path in section.sheets.items()],
        "facts": flat(section.facts),
    }


def _compress_context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    section = report.compress
    if section is None:
        return {}
    sizes = {rate.name: rate.bits_per_pixel for rate in section.rates}
    return {
        "strips": budget.embed(section.strips) if section.strips is not None else None,
        "sizes": bars.bar_chart("rates", sizes, title="Bits per pixel", text="{:.3f}".format),
        "model": flat(section.model),
    }


def _decompress_context(report: JobReport, budget: PictureBudget) -> dict[str, object]:
    section = report.decompress
    if section is None:
        return {}
    return {
        "sheet": budget.embed(section.sheet) if section.sheet is not None else None,
        "model": flat(section.model),
    }


def _confusion_rows(table: Confusion | None) -> list[tuple[str, list[tuple[int, float]]]]:
    """Give for every true class its counts, each with its share of the row; nothing for too many classes."""
    if table is None or len(table.classes) > MAX_CONFUSION_CLASSES:
        return []
    return [
        (name, [(count, count / max(1, sum(row))) for count in row])
        for name, row in zip(table.classes, table.counts, strict=True)
    ]


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Flatten nested mappings to dotted names, in their order."""
    rows: list[tuple[str, object]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows


def _spec_text(spec: Mapping[str, object]) -> str:
    text = json.dumps(spec, indent=2, ensure_ascii=False)
    if len(text) <= MAX_SPEC_CHARACTERS:
        return text
    return f"{text[:MAX_SPEC_CHARACTERS]}\n… {len(text) - MAX_SPEC_CHARACTERS:,} more characters"


def _grid_image(grid: Grid) -> ImageSource:
    return grid.image
