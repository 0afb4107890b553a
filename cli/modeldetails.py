"""One model in full, with what was measured of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.comparing import measuring_hint
from cli.formatting import count, utc
from cli.metrics import metric_table, stored_metrics
from cli.modelfacts import model_facts
from cli.output import print_fields, print_table, print_title, say

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Evaluation, Job, ModelVersion


@dataclass(frozen=True)
class ModelDetails:
    """A version, and each measurement with the job that made it, the newest first."""

    version: "ModelVersion"
    measured: Sequence[tuple["Evaluation", "Job"]]
    aliases: Sequence[str] = ()


def read_model(session: "Session", name: str) -> ModelDetails:
    """Read one model in full.  Raises NotFound, or Conflict while it is being trained."""
    from db.aliases import aliases_by_version
    from db.jobs import get_job
    from db.registry import list_evaluations, present_version

    version = present_version(session, name)
    found = list_evaluations(session, version.id)
    measured = [(evaluation, get_job(session, evaluation.job_id)) for evaluation in found]
    aliases = aliases_by_version(session).get((version.model_id, version.version), [])
    return ModelDetails(version, measured, aliases)


def print_model(details: ModelDetails, root: Path) -> None:
    """Print the screen."""
    version = details.version
    facts = {**model_facts(version), "folder": root / version.folder}
    print_title(f"model {facts.pop('model')}")
    if details.aliases:
        facts = {"aliases": ", ".join(details.aliases), **facts}
    print_fields({name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in facts.items()})
    for evaluation, job in details.measured:
        print_title(measurement_title(evaluation, job), gap=True)
        print_table(*metric_table(stored_metrics(evaluation.metrics)), empty="nothing was measured")
    if not details.measured:
        say(f"it was never measured: {measuring_hint(version)}")


def measurement_title(evaluation: "Evaluation", job: "Job") -> str:
    """Which job measured what, against which data."""
    output = f" of output {evaluation.output_job_id}" if evaluation.output_job_id != job.id else ""
    judge = f", judged by {job.spec['judge']}" if job.spec.get("judge") else ""
    return (
        f"{job.kind} job {job.id}, {utc(evaluation.created_at)}: {count(evaluation.image_count)}{output}, "
        f"{evaluation.dataset.name}{judge}"
    )


def measurements_json(details: ModelDetails) -> list[dict[str, Any]]:
    """The measurements for machines."""
    return [
        {
            "job_id": job.id,
            "kind": job.kind,
            "output_job_id": evaluation.output_job_id,
            "judge": job.spec.get("judge"),
            "dataset": {"name": evaluation.dataset.name, "fingerprint": evaluation.dataset.fingerprint},
            "count": evaluation.image_count,
            "metrics": evaluation.metrics,
            "created_at": evaluation.created_at,
        }
        for evaluation, job in details.measured
    ]
