"""Jobs as they stand: lists of them, one as JSON, and the numbers that tell how far it is."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.reasons import reason_of
from client.situation import Situation
from client.wording import percent
from pixmill.stages import bound_by
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.views import JobFilter, JobLine

PAGE = 500  # jobs read at a time; a database takes only so many values in one statement


def read_jobs(
    session: "Session", chosen: "JobFilter", limit: int | None, recent: int | None
) -> tuple[list["JobLine"], bool]:
    """At most `limit` jobs, the newest, by id; and whether there are older ones."""
    from dataclasses import replace

    from db.views import list_jobs

    lines: list[JobLine] = []
    while limit is None or len(lines) <= limit:
        wanted = PAGE if limit is None else min(PAGE, limit + 1 - len(lines))
        page = list_jobs(session, chosen, wanted, recent)
        lines = page + lines
        if len(page) < wanted or recent is not None:
            break
        chosen = replace(chosen, before=page[0].job.id)
    more = limit is not None and len(lines) > limit
    return (lines[-limit:] if limit is not None else lines), more


def job_json(line: "JobLine", situation: Situation) -> dict[str, Any]:
    """The job as JSON: raw words, seconds, images, times in UTC."""
    job = line.job
    reason = reason_of(line, situation)
    return {
        "id": job.id,
        "name": job.name,
        "kind": job.kind,
        "model": model_of(job.spec),
        "state": job.state.value,
        "reason": reason.code if reason else None,
        "message": reason.text or None if reason else None,
        "queue": job.queue,
        "priority": job.priority,
        "user": job.user_name,
        "key": job.key,
        "labels": job.labels,
        "progress": {"done": done_images(line), "total": job.progress_total, "unit": "images"},
        "rate": line.rate,
        "eta_seconds": eta_seconds(line),
        "bound_by": bound_by(line.spent),
        "spent_seconds": line.spent,
        "tasks": {"total": line.tasks, "done": line.tasks_done},
        "devices": list(line.devices),
        "waits_for": list(line.waits_for),
        "pipeline": place_json(line),
        "submitted_at": job.submitted_at,
        "begin_at": job.begin_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "run_seconds": run_seconds(line, situation.at),
        "spec_digest": job.spec_digest,
        "spec": job.spec,
        "options": job.options,
    }


def place_json(line: "JobLine") -> dict[str, Any] | None:
    """Its place in a pipeline, if it has one."""
    place = line.place
    return {"run": place.run.id, "name": place.run.name, "step": place.step} if place else None


def model_of(spec: Mapping[str, Any]) -> str | None:
    """The model that a spec names; or else the job whose images it judges or decompresses; None for a ping."""
    if spec.get("output") is not None:
        return f"job:{spec['output']}"
    return " + ".join([str(spec["model"]), *(spec.get("further_models") or ())]) if "model" in spec else None


def done_images(line: "JobLine") -> int:
    """Images handled so far."""
    total = line.job.progress_total
    return total if line.job.state is State.SUCCEEDED else min(line.done, total)


def progress_text(line: "JobLine") -> str:
    """Progress in percent, or – for a job that never ran."""
    if line.job.started_at is None or not line.job.progress_total:
        return "–"
    return percent(done_images(line), line.job.progress_total)


def eta_seconds(line: "JobLine") -> float | None:
    """Until its images are there, if it goes on as it does now; None: nobody knows, or it is not running."""
    left = line.job.progress_total - done_images(line)
    return round(left / line.rate, 1) if line.rate and left > 0 and line.job.state is State.RUNNING else None


def run_seconds(line: "JobLine", at: datetime) -> float | None:
    """From its first start until its end, or until now."""
    job = line.job
    if job.started_at is None:
        return None
    return max(0.0, ((job.finished_at or at) - job.started_at).total_seconds())
