"""From two models to what their measurements say side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product as pairs_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.modelfacts import product
from imagemodels.errors import DataError
from imagemodels.evaluation.comparison import Comparison, Measured, Measurement, compare
from imagemodels.evaluation.report import EvaluationReport, Metric
from pixmill.errors import CorruptFile, NotFound, UserError
from storage.paths import Layout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables.jobs import Job
    from db.tables.models import Evaluation, ModelVersion

# What measures a model of each kind; the others are measured when they are trained.
_MEASURED_BY: Mapping[str, str] = {
    "generator": "pixmill submit generate --model {} -n 5000, then pixmill submit evaluate --output ID",
    "codec": "pixmill submit compress --model {}",
}


@dataclass(frozen=True)
class Side:
    """One of two models, and the measurement that speaks for it."""

    model: str  # NAME@VERSION
    version: "ModelVersion"
    evaluation: "Evaluation"
    job: "Job"  # that measured
    measured: Measured
    picture: Path | None


@dataclass(frozen=True)
class Compared:
    """Two sides and what their numbers say of each other."""

    first: Side
    second: Side
    comparison: Comparison


def compare_models(session: "Session", layout: Layout, first: str, second: str) -> Compared:
    """Compare the newest measurements of two models; those on equal data, images and feature net if there are such.

    Raises NotFound (no such model, or never measured), Conflict (it is not trained yet), UserError (one and the same
    version, or models of different kinds) or CorruptFile.
    """
    from db.registry import present_version

    mine, theirs = (present_version(session, name) for name in (first, second))
    if mine.id == theirs.id:
        raise UserError(
            f"{first!r} and {second!r} are both {mine.reference}", hint="name two models, or two versions of one"
        )
    if product(mine) != product(theirs):
        kinds = [f"{version.reference} is a {product(version)}" for version in (mine, theirs)]
        raise UserError(
            f"{' and '.join(kinds)}: their numbers have nothing in common",
            hint="name two models of a kind: pixmill model ls",
        )
    evaluations = _matching(*(_evaluations(session, version) for version in (mine, theirs)))
    sides = [_side(session, layout, *pair) for pair in zip((mine, theirs), evaluations, strict=True)]
    return Compared(sides[0], sides[1], compare(sides[0].measured, sides[1].measured))


def _evaluations(session: "Session", version: "ModelVersion") -> Sequence["Evaluation"]:
    from db.registry import list_evaluations

    found = list_evaluations(session, version.id)
    if not found:
        raise NotFound(f"model {version.reference} was never measured", hint=measuring_hint(version))
    return found


def measuring_hint(version: "ModelVersion") -> str:
    """How to have the model measured."""
    command = _MEASURED_BY.get(product(version))
    if command is None:
        return "train it again: its figures were not kept when it was trained"
    return command.format(version.reference)


def _matching(first: Sequence["Evaluation"], second: Sequence["Evaluation"]) -> tuple["Evaluation", "Evaluation"]:
    """The newest two that are most alike; without such a pair, the newest ones."""
    pair = max(pairs_of(first, second), key=lambda pair: (_likeness(*pair), min(pair[0].id, pair[1].id)))
    return pair if _likeness(*pair) else (first[0], second[0])


def _likeness(mine: "Evaluation", theirs: "Evaluation") -> int:
    """0: of other data, or of more images; 1: of the same; 2: also by the same feature net."""
    if (mine.dataset_id, mine.image_count) != (theirs.dataset_id, theirs.image_count):
        return 0
    return 2 if _instruments(mine) == _instruments(theirs) else 1


def _instruments(evaluation: "Evaluation") -> set[str]:
    """The feature nets in the names of its metrics."""
    return {name.partition("@")[2] for metric in evaluation.metrics if (name := metric["name"]).startswith("fd@")}


def _side(session: "Session", layout: Layout, version: "ModelVersion", evaluation: "Evaluation") -> Side:
    from db.finding import get_job
    from db.views import job_tasks

    job = get_job(session, evaluation.job_id)
    (task,) = job_tasks(session, job.id)
    result = task.result or {}
    if job.kind == "evaluate":
        measured = _report(layout, job.id, result)
        picture: Path | None = layout.output_folder(evaluation.output_job_id) / "contact-sheet.png"
    else:
        measured = _measurement(evaluation, result)
        picture = layout.resolve(result["strips"]) if "strips" in result else None
    shown = picture if picture is not None and picture.is_file() else None
    return Side(version.reference, version, evaluation, job, measured, shown)


def _report(layout: Layout, job_id: int, result: Mapping[str, Any]) -> Measured:
    if not result.get("report"):
        raise CorruptFile(f"job {job_id} has no report of its evaluation", hint="evaluate the images again")
    return read_evaluation(layout.resolve(result["report"]))


def _measurement(evaluation: "Evaluation", result: Mapping[str, Any]) -> Measured:
    return Measurement(
        dataset=evaluation.dataset.name,
        dataset_fingerprint=evaluation.dataset.fingerprint,
        measured_images=evaluation.image_count,
        metrics=stored_metrics(evaluation.metrics),
        warnings=tuple(result.get("warnings", ())),
    )


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
    measured = side.measured
    net = {"name": measured.feature_net, "digest": measured.feature_net_digest} if measured.feature_net else None
    return {
        "model": side.model,
        "digest": side.version.digest,
        "preset": side.version.preset,
        "evaluation_job_id": side.evaluation.job_id,
        "output_job_id": side.evaluation.output_job_id,
        "measured_images": measured.measured_images,
        "dataset": {"name": measured.dataset, "fingerprint": measured.dataset_fingerprint},
        "feature_net": net,
        "judge": side.job.spec.get("judge"),
        "warnings": list(measured.warnings),
    }


def _metric_json(metric: Metric | None) -> dict[str, Any] | None:
    return None if metric is None else asdict(metric)


def read_evaluation(path: Path) -> EvaluationReport:
    """What an evaluate job found.  Raises CorruptFile."""
    try:
        return EvaluationReport.from_json(path.read_bytes())
    except (DataError, OSError) as error:
        raise CorruptFile(f"{path}: {error}", hint="evaluate the images again") from error


def stored_metrics(rows: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    """The metrics of an evaluation's row."""
    return tuple(Metric.from_dict(row) for row in rows)
