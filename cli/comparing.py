"""From two models to what their evaluations say side by side."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.evaluationsection import metric_line, read_evaluation
from cli.formatting import count
from imagemodels.evaluation.comparison import Comparison, Verdict, compare
from imagemodels.evaluation.report import EvaluationReport, Metric
from pixmill.errors import Conflict, CorruptFile, NotFound, UserError
from reports.comparison import ComparedModel, ComparedRow, ComparisonReport
from storage.paths import Layout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Evaluation, ModelVersion


@dataclass(frozen=True)
class Side:
    """One of two models, and the evaluation that speaks for it."""

    model: str  # NAME@VERSION
    version: "ModelVersion"
    evaluation: "Evaluation"
    report: EvaluationReport
    contact_sheet: Path | None


@dataclass(frozen=True)
class Compared:
    """Two sides and what their numbers say of each other."""

    first: Side
    second: Side
    comparison: Comparison


def compare_models(session: "Session", layout: Layout, first: str, second: str) -> Compared:
    """Compare the newest evaluations of two models, of those against equal data on as many images if there are such.

    Raises NotFound (no such model, or never evaluated), Conflict (it is not trained yet), UserError (one and the same
    version) or CorruptFile.
    """
    versions = [_version(session, name) for name in (first, second)]
    if versions[0].id == versions[1].id:
        raise UserError(
            f"{first!r} and {second!r} are both {_name(versions[0])}", hint="name two models, or two versions of one"
        )
    evaluations = _matching(*(_evaluations(session, version) for version in versions))
    sides = [_side(session, layout, *pair) for pair in zip(versions, evaluations, strict=True)]
    return Compared(sides[0], sides[1], compare(sides[0].report, sides[1].report))


def _version(session: "Session", name: str) -> "ModelVersion":
    from db.registry import resolve_model
    from db.tables import ModelVersion

    found = resolve_model(session, name)
    if not isinstance(found, ModelVersion):
        raise Conflict(f"train job {found.id} has no model yet", hint=f"pixmill wait {found.id}")
    return found


def _name(version: "ModelVersion") -> str:
    return f"{version.model.name}@{version.version}"


def _evaluations(session: "Session", version: "ModelVersion") -> Sequence["Evaluation"]:
    from db.registry import list_evaluations

    found = list_evaluations(session, version.id)
    if not found:
        name = _name(version)
        hint = f"pixmill submit generate --model {name} -n 5000, then pixmill submit evaluate --output ID"
        raise NotFound(f"no images of model {name} were evaluated", hint=hint)
    return found


def _matching(first: Sequence["Evaluation"], second: Sequence["Evaluation"]) -> tuple["Evaluation", "Evaluation"]:
    """The newest two that were judged by equal data on as many images; without such a pair, the newest ones."""
    pairs = sorted(product(first, second), key=lambda pair: -min(pair[0].id, pair[1].id))
    alike = (
        (mine, theirs)
        for mine, theirs in pairs
        if (mine.dataset_id, mine.image_count) == (theirs.dataset_id, theirs.image_count)
    )
    return next(alike, (first[0], second[0]))


def _side(session: "Session", layout: Layout, version: "ModelVersion", evaluation: "Evaluation") -> Side:
    from db.views import job_tasks

    (task,) = job_tasks(session, evaluation.job_id)
    relative = (task.result or {}).get("report")
    if not relative:
        raise CorruptFile(f"job {evaluation.job_id} has no report of its evaluation", hint="evaluate the images again")
    sheet = layout.output_folder(evaluation.output_job_id) / "contact-sheet.png"
    return Side(
        model=_name(version),
        version=version,
        evaluation=evaluation,
        report=read_evaluation(layout.resolve(relative)),
        contact_sheet=sheet if sheet.is_file() else None,
    )


def verdict_text(verdict: Verdict | None, is_first: bool) -> str:
    """What stands beside a value: ``better`` beside the better one."""
    if verdict in ("first", "second"):
        return "better" if (verdict == "first") == is_first else ""
    return verdict or "not compared"


def table_rows(compared: Compared) -> list[list[str]]:
    """Two lines for each metric, the first model's and the second's."""
    rows = []
    for metric in compared.comparison.metrics:
        for side, measured in zip((compared.first, compared.second), metric.sides, strict=True):
            verdict = verdict_text(metric.verdict, side is compared.first)
            rows.append([metric.name if measured is None else measured.name, side.model, *_cells(measured), verdict])
    return rows


def _cells(metric: Metric | None) -> list[str]:
    if metric is None:
        return ["–"] * 6
    line = metric_line(metric)
    numbers = (metric.value, line.floor, line.copies, line.ceiling)
    value, *controls = ("–" if number is None else f"{number:.4g}" for number in numbers)
    return [value, count(metric.n), *controls, metric.better]


def comparison_json(compared: Compared) -> dict[str, Any]:
    """The same for machines, with hashes in full."""
    return {
        "first": _side_json(compared.first),
        "second": _side_json(compared.second),
        "metrics": [
            {
                "name": metric.name,
                "compared": metric.obstacle is None,
                "obstacle": metric.obstacle,
                "verdict": metric.verdict,
                "first": _metric_json(metric.first),
                "second": _metric_json(metric.second),
            }
            for metric in compared.comparison.metrics
        ],
        "notes": list(compared.comparison.notes),
    }


def _side_json(side: Side) -> dict[str, Any]:
    report = side.report
    return {
        "model": side.model,
        "digest": side.version.digest,
        "preset": side.version.preset,
        "evaluation_job_id": side.evaluation.job_id,
        "output_job_id": side.evaluation.output_job_id,
        "measured_images": report.measured_images,
        "dataset": {"name": report.dataset, "fingerprint": report.dataset_fingerprint},
        "feature_net": {"name": report.feature_net, "digest": report.feature_net_digest},
        "warnings": list(report.warnings),
    }


def _metric_json(metric: Metric | None) -> dict[str, Any] | None:
    return None if metric is None else asdict(metric)


def comparison_report(compared: Compared) -> ComparisonReport:
    """What the page shows."""
    rows = [
        ComparedRow(
            name=metric.name,
            first=None if metric.first is None else metric_line(metric.first),
            second=None if metric.second is None else metric_line(metric.second),
            verdicts=(verdict_text(metric.verdict, True), verdict_text(metric.verdict, False)),
        )
        for metric in compared.comparison.metrics
    ]
    sides = (_compared_model(compared.first), _compared_model(compared.second))
    return ComparisonReport(models=sides, rows=rows, notes=compared.comparison.notes)


def _compared_model(side: Side) -> ComparedModel:
    report = side.report
    facts: dict[str, object] = {
        "preset": side.version.preset,
        "digest": side.version.digest,
        "images seen": side.version.images_seen,
        "images measured": f"{report.measured_images:,} of output {side.evaluation.output_job_id}",
        "judged by": report.dataset,
        "data fingerprint": report.dataset_fingerprint,
        "feature net": report.feature_net,
        "feature net digest": report.feature_net_digest,
        "report": f"pixmill job report {side.evaluation.job_id}",
    }
    return ComparedModel(name=side.model, facts=facts, contact_sheet=side.contact_sheet, warnings=report.warnings)
