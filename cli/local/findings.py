"""What a demo has found: numbers and files, read from the rows and folders that its jobs have left."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.local.demonstration import Line
from client.jobreport.building import write_report
from db.engine import Database
from db.tables.jobs import Role
from db.views import job_evaluation, job_tasks
from pixmill.settings import Settings
from storage.faults import named_faults
from storage.s3.bucket import located


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One metric of an evaluation."""

    value: float
    real: float | None  # what real images reach

    @classmethod
    def find(cls, metrics: Iterable[Mapping[str, Any]], name: str, control: str) -> "Judgement | None":
        """The metric called `name` (before or with its @) with one of its controls."""
        for metric in metrics:
            if name in (metric["name"], metric["name"].partition("@")[0]):
                controls = {entry["name"]: entry["value"] for entry in metric["controls"]}
                return cls(value=metric["value"], real=controls.get(control))
        return None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What came of one model."""

    preset: str
    model: str  # "demo-vae@1"
    images: int
    images_per_second: float | None
    forest: Judgement | None  # accuracy on real images of a forest that saw generated ones alone
    network: Judgement | None
    distance: Judgement | None  # kernel distance from the training images
    output: str
    contact_sheet: Path
    reports: Sequence[Path]


def read_findings(database: Database, settings: Settings, line: Line) -> Findings:
    """Read what the jobs of one model have found, and write their reports."""
    with database.read() as session:
        train = _result(job_tasks(session, line.train), Role.TRAIN)
        made = [task.result or {} for task in job_tasks(session, line.generate) if task.role is Role.GENERATE]
        data = _result(job_tasks(session, line.generate), Role.ASSEMBLE)
        evaluation = job_evaluation(session, line.evaluate)
    metrics = evaluation.metrics if evaluation is not None else []
    seconds = sum(result.get("seconds", 0.0) for result in made)
    return Findings(
        preset=line.preset,
        model=train["model"],
        images=data["images"],
        images_per_second=data["images"] / seconds if seconds else None,
        forest=Judgement.find(metrics, "usefulness@forest", "real_training"),
        network=Judgement.find(metrics, "usefulness@cnn", "real_training"),
        distance=Judgement.find(metrics, "kid", "held_out_real"),
        output=located(data["output"], settings.storage_root),
        contact_sheet=settings.storage_root / data["contact_sheet"],
        reports=[_report(database, settings, job_id) for job_id in line.jobs],
    )


def _report(database: Database, settings: Settings, job_id: int) -> Path:
    path = settings.storage_root / "reports" / f"job-{job_id}.html"
    with named_faults(path):
        path.parent.mkdir(exist_ok=True)
    return write_report(database, settings, job_id, path)


def _result(tasks: Sequence[Any], role: Role) -> Mapping[str, Any]:
    return next(task.result for task in tasks if task.role is role and task.result is not None)
