"""What the measurements of two models say side by side, as a table and as a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.metrics import control_cells, control_columns
from cli.output import Column
from client.comparing import Compared, Side
from client.jobreport.evaluation import metric_line
from client.metrics import ControlColumn, controls_of, number
from client.wording import count
from imagemodels.evaluation.comparison import Verdict
from imagemodels.evaluation.report import Metric
from imagemodels.presets import PRESETS
from reports.comparison import ComparedModel, ComparedRow, ComparisonReport, ControlMark

if TYPE_CHECKING:
    pass


def controls_between(compared: Compared) -> tuple[ControlColumn, ...]:
    """What stands beside the values."""
    return controls_of((*compared.first.measured.metrics, *compared.second.measured.metrics))


def verdict_text(verdict: Verdict | None, is_first: bool) -> str:
    """What stands beside a value: ``better`` beside the better one."""
    if verdict in ("first", "second"):
        return "better" if (verdict == "first") == is_first else ""
    return verdict or "not compared"


def comparison_table(compared: Compared) -> tuple[list[Column], list[list[str]]]:
    """Columns, and two rows for each metric, the first model's and the second's."""
    columns = [
        Column(title="METRIC", shrinks=True, least=16),
        Column(title="MODEL", shrinks=True),
        Column(title="VALUE", align="right"),
        Column(title="N", align="right"),
        *control_columns(controls_between(compared)),
        Column(title="BETTER", dropped=4),
        Column(title="VERDICT"),
    ]
    rows = []
    for metric in compared.comparison.metrics:
        for side, measured in zip((compared.first, compared.second), metric.sides, strict=True):
            verdict = verdict_text(metric.verdict, side is compared.first)
            name = metric.name if measured is None else measured.name
            rows.append([name, side.model, *_cells(measured, controls_between(compared)), verdict])
    return columns, rows


def _cells(metric: Metric | None, controls: Sequence[ControlColumn]) -> list[str]:
    if metric is None:
        return ["–"] * (3 + len(controls))
    return [number(metric.value), count(metric.n), *control_cells(metric, controls), metric.better]


def comparison_report(compared: Compared) -> ComparisonReport:
    """What the page shows."""
    controls = controls_between(compared)
    rows = [
        ComparedRow(
            name=metric.name,
            first=None if metric.first is None else metric_line(metric.first, controls),
            second=None if metric.second is None else metric_line(metric.second, controls),
            verdicts=(verdict_text(metric.verdict, True), verdict_text(metric.verdict, False)),
        )
        for metric in compared.comparison.metrics
    ]
    return ComparisonReport(
        models=(_compared_model(compared.first), _compared_model(compared.second)),
        rows=rows,
        notes=compared.comparison.notes,
        controls=[ControlMark(mark=one.mark, title=one.title.lower(), words=one.words) for one in controls],
    )


def _compared_model(side: Side) -> ComparedModel:
    measured, output = side.measured, side.evaluation.output_job_id
    of_output = f" of output {output}" if output != side.job.id else ""
    facts: dict[str, object] = {
        "preset": side.version.preset,
        "digest": side.version.digest,
        "images seen": side.version.images_seen,
        _measured_noun(side): f"{measured.measured_images:,}{of_output}",
        "judged by": measured.dataset,
        "data fingerprint": measured.dataset_fingerprint,
        "judge": side.job.spec.get("judge"),
        "feature net": measured.feature_net,
        "feature net digest": measured.feature_net_digest,
        "report": f"pixmill job report {side.job.id}",
    }
    known = {name: value for name, value in facts.items() if value is not None}
    return ComparedModel(name=side.model, facts=known, picture=side.picture, warnings=measured.warnings)


def _measured_noun(side: Side) -> str:
    preset = PRESETS.get(side.version.preset)
    return "sequences measured" if preset and preset.traits.predicts_frames else "images measured"
