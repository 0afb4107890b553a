"""One job in full: all that is known of it, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.jobs import done_images, job_json, model_of
from client.situation import Situation, read_situation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.ends import AttemptRow, Ends, EventRow, TaskSums
    from db.listing import JobLine
    from db.tables.jobs import Event, Task
    from pixmill.settings import Settings


@dataclass(frozen=True, kw_only=True)
class JobDetails:
    """All that is known about one job at one moment."""

    line: "JobLine"
    situation: Situation
    tasks: "Ends[Task]"
    sums: "TaskSums"
    results: Sequence[Mapping[str, Any]]
    attempts: "Ends[AttemptRow]"
    events: "Ends[EventRow]"
    metrics: Sequence[Mapping[str, Any]]  # what the job has measured
    root: Path  # storage root


def read_details(session: "Session", settings: "Settings", job_id: int, *, most: int | None = None) -> JobDetails:
    """Read one job in full, or at most so many tasks, attempts and events of it.  Raises NotFound."""
    from db.ends import attempt_ends, event_ends, own_results, task_ends, task_sums
    from db.listing import job_line
    from db.views import job_evaluation

    evaluation = job_evaluation(session, job_id)
    line = job_line(session, job_id)
    return JobDetails(
        line=line,
        situation=read_situation(session, settings.scheduler.lease_seconds, [line]),
        tasks=task_ends(session, job_id, most),
        sums=task_sums(session, job_id),
        results=own_results(session, job_id),
        attempts=attempt_ends(session, job_id, most),
        events=event_ends(session, job_id, most),
        metrics=evaluation.metrics if evaluation else [],
        root=settings.storage_root,
    )


def detail_json(details: JobDetails) -> dict[str, Any]:
    """The job, read in full, as JSON, with its tasks, attempts and events."""
    return {
        **job_json(details.line, details.situation),
        "images_done": done_images(details.line),
        "model": model_of(details.line.job.spec),
        "tasks": [_task_json(task) for task in details.tasks.first],
        "attempts": [_attempt_json(row) for row in details.attempts.first],
        "events": [event_json(event) for event, _number in details.events.first],
        "metrics": list(details.metrics),
    }


def _task_json(task: "Task") -> dict[str, Any]:
    names = ["id", "number", "params", "progress", "result", "reason", "message", "lease_epoch", "failures"]
    names += ["lost_leases", "preemptions", "started_at", "finished_at", "retries", "retry_seconds", "available_at"]
    names += ["time_limit_seconds", "excused_failures", "excused_lost_leases"]
    return {
        **{name: getattr(task, name) for name in names},
        "role": task.role.value,
        "state": task.state.value,
        "device_kind": task.device_kind.value if task.device_kind else None,
        "devices": task.devices,
        "stop_to": task.stop_to.value if task.stop_to else None,
    }


def _attempt_json(row: "AttemptRow") -> dict[str, Any]:
    attempt, task, worker = row
    names = ("lease_epoch", "folder", "reason", "message", "started_at", "finished_at")
    return {
        "task": task.number,
        "worker": worker.name,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        **{name: getattr(attempt, name) for name in names},
    }


def event_json(event: "Event") -> dict[str, Any]:
    """What happened, as JSON."""
    names = ("at", "actor", "action", "task_id", "from_state", "to_state", "detail")
    return {name: getattr(event, name) for name in names}
