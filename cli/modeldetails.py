"""One model in full, with what was measured of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from cli.metrics import metric_table
from cli.output import print_fields, print_table, print_title, say
from client.comparing import measuring_hint, stored_metrics
from client.modelfacts import model_facts
from client.models import ModelDetails
from client.moments import stamp
from client.wording import count

if TYPE_CHECKING:
    from db.tables.jobs import Job
    from db.tables.models import Evaluation


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
        f"{job.kind} job {job.id}, {stamp(evaluation.created_at)}: {count(evaluation.image_count)}{output}, "
        f"{evaluation.dataset.name}{judge}"
    )
