"""One job in full, as a screen and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.formatting import age, duration, percent, plural, size, utc
from cli.jobpace import pace_fields
from cli.jobs import device_text, done_images, job_json, model_of
from cli.metrics import metric_table, stored_metrics
from cli.output import Column, print_fields, print_table, print_title
from cli.reasons import reason_of, reason_text
from cli.situation import Situation, read_situation
from pixmill.states import State

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from db.tables import Attempt, Event, Job, Task, Worker
    from db.views import JobLine
    from pixmill.settings import Settings

_PATHS = {
    "output", "contact_sheet", "index", "report", "neighbours", "manifest", "strips", "sequences", "restoration",
}  # fmt: skip  # of a result, below the storage root
SHOWN_ROWS = 12  # of tasks, attempts and events; the JSON has them all

TASK_COLUMNS = [
    Column(title="TASK", align="right"),
    Column(title="ROLE"),
    Column(title="STATE"),
    Column(title="PROG", align="right"),
    Column(title="TIME", align="right"),
    Column(title="TRIES", align="right"),
    Column(title="FAILED", align="right", dropped=1),
    Column(title="LOST", align="right", dropped=2),
    Column(title="STOPPED", align="right", dropped=3),
    Column(title="REASON", shrinks=True, least=16),
]
ATTEMPT_COLUMNS = [
    Column(title="ATTEMPT", align="right"),
    Column(title="TASK", align="right"),
    Column(title="WORKER", shrinks=True),
    Column(title="OUTCOME"),
    Column(title="TIME", align="right"),
    Column(title="FOLDER"),
    Column(title="REASON", shrinks=True),
]
EVENT_COLUMNS = [
    Column(title="AT"),
    Column(title="WHO", shrinks=True),
    Column(title="WHAT"),
    Column(title="TASK", align="right", dropped=1),
    Column(title="STATE"),
    Column(title="DETAIL", shrinks=True),
]


RATE_COLUMNS = [
    Column(title="FILES", shrinks=True),
    Column(title="BITS/PIXEL", align="right"),
    Column(title="PSNR", align="right"),
    Column(title="SSIM", align="right"),
]


@dataclass(frozen=True, kw_only=True)
class JobDetails:
    """All that is known about one job at one moment."""

    line: "JobLine"
    situation: Situation
    tasks: Sequence["Task"]
    attempts: Sequence[tuple["Attempt", "Task", "Worker"]]
    events: Sequence["Event"]
    metrics: Sequence[Mapping[str, Any]]  # what the job has measured
    root: Path  # storage root


def read_details(session: "Session", settings: "Settings", job_id: int) -> JobDetails:
    """Read one job in full.  Raises NotFound."""
    from db.views import job_attempts, job_evaluation, job_events, job_line, job_tasks

    evaluation = job_evaluation(session, job_id)
    line = job_line(session, job_id)
    return JobDetails(
        line=line,
        situation=read_situation(session, settings.scheduler.lease_seconds, [line]),
        tasks=job_tasks(session, job_id),
        attempts=job_attempts(session, job_id),
        events=job_events(session, job_id),
        metrics=evaluation.metrics if evaluation else [],
        root=settings.storage_root,
    )


def print_details(details: JobDetails) -> None:
    """Print the screen."""
    job = details.line.job
    print_title(f"job {job.id}  {job.name}")
    print_fields(_head_fields(details))
    print_title("spec", gap=True)
    print_fields(_spec_fields(job))
    _print_result(details)
    rates = [rate for task in details.tasks for rate in (task.result or {}).get("rates", ())]
    _print_rows("rates", RATE_COLUMNS, [_rate_row(rate) for rate in rates], most=None)
    if not rates:
        # A train job's are the figures of every predicted frame: its model has them all.
        most = SHOWN_ROWS if job.kind == "train" else None
        _print_rows("metrics", *metric_table(stored_metrics(details.metrics)), most=most)
    task_numbers = {task.id: task.number for task in details.tasks}
    _print_rows("tasks", TASK_COLUMNS, [_task_row(task, details.situation.at) for task in details.tasks])
    attempts = enumerate(details.attempts, start=1)
    at = details.situation.at
    _print_rows("attempts", ATTEMPT_COLUMNS, [_attempt_row(number, *rows, at) for number, rows in attempts])
    _print_rows("events", EVENT_COLUMNS, [_event_row(event, task_numbers) for event in details.events])


def _head_fields(details: JobDetails) -> dict[str, str]:
    line, at = details.line, details.situation.at
    job = line.job
    fields = {
        "state": job.state.value,
        "reason": reason_text(reason_of(line, details.situation)),
        **pace_fields(line, at),
        "device": device_text(line.devices) if line.devices else "",
        "submitted": f"{utc(job.submitted_at)} by {job.user_name}, {age(job.submitted_at, at)} ago",
        "started": utc(job.started_at) if job.started_at else "",
        "finished": utc(job.finished_at) if job.finished_at else "",
        "begin": utc(job.begin_at) if job.begin_at else "",
        "queue": job.queue + (f", priority {job.priority}" if job.priority else ""),
        "retries": _retries(details.tasks),
        "counters": _counters(details.tasks),
        "time limit": _time_limit(details.tasks),
        "key": job.key or "",
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(job.labels.items())),
    }
    return {name: value for name, value in fields.items() if value}


def _retries(tasks: Sequence["Task"]) -> str:
    """What is used and left of the retries after failures; an operator's retry begins anew."""
    granted = max((task.retries for task in tasks), default=0)
    used = max((task.failures - task.excused_failures for task in tasks), default=0)
    if not used:
        return f"{granted}{' a task' if len(tasks) > 1 else ''}"
    of_task = " (by the task that failed most)" if len(tasks) > 1 else ""
    return f"{min(used, granted)} of {granted} used{of_task}, {max(0, granted - used)} left"


def _counters(tasks: Sequence["Task"]) -> str:
    """What has gone wrong, over all tasks, and what an operator's retry has forgiven of it."""
    names = {"failure": "failures", "lost lease": "lost_leases", "preemption": "preemptions"}
    sums = {noun: sum(getattr(task, name) for task in tasks) for noun, name in names.items()}
    words = [plural(number, noun) for noun, number in sums.items() if number]
    excused = sum(task.excused_failures + task.excused_lost_leases for task in tasks)
    return ", ".join(words) + (f" ({excused} excused by a retry)" if excused else "")


def _time_limit(tasks: Sequence["Task"]) -> str:
    limits = [task.time_limit_seconds for task in tasks if task.time_limit_seconds is not None]
    return f"{duration(max(limits))} for an attempt" if limits else ""


def _spec_fields(job: "Job") -> dict[str, str]:
    spec = {"kind": job.kind, **job.spec}
    return {key: _value_text(value) for key, value in spec.items() if key != "version" and value not in (None, {})}


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_value_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_value_text(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_result(details: JobDetails) -> None:
    fields: dict[str, str] = {}
    for task in details.tasks:
        if task.role.value != "generate":  # its results add up to that of the assemble task
            fields |= _result_fields(task.result or {}, details.root)
    if fields:
        print_title("result", gap=True)
        print_fields(fields)


def _result_fields(result: Mapping[str, Any], root: Path) -> dict[str, str]:
    fields = {}
    for key, value in result.items():
        if value in (None, {}, []) or key.endswith("_id") or key == "rates":
            continue
        if key in {"metric", "headline"} and isinstance(value, Mapping):
            fields[str(value.get("name"))] = _value_text(value.get("value"))
        elif key == "fidelity":
            fields |= {way: f"PSNR {mean['psnr']:.2f} dB, SSIM {mean['ssim']:.4f}" for way, mean in value.items()}
        elif key in _PATHS:
            fields[key.replace("_", " ")] = str(root / str(value))
        elif key == "bytes":
            fields["size"] = size(value)
        else:
            fields[key.replace("_", " ")] = _value_text(value)
    return fields


def _rate_row(rate: Mapping[str, Any]) -> list[str]:
    ratio = "lossless" if rate["psnr"] is None else f"{rate['psnr']:.2f} dB"
    return [rate["name"], f"{rate['bits_per_pixel']:.3f}", ratio, f"{rate['ssim']:.4f}"]


def _print_rows(
    title: str, columns: Sequence[Column], rows: Sequence[list[str]], *, most: int | None = SHOWN_ROWS
) -> None:
    if not rows:
        return
    left_out = 0 if most is None else len(rows) - most
    if most is not None and left_out > 1:
        half = most // 2
        gap = [f"… {left_out} more …" if column.shrinks and column is columns[-1] else "…" for column in columns]
        rows = [*rows[:half], gap, *rows[-half:]]
    print_title(title, gap=True)
    print_table(columns, rows, empty="")


def _task_row(task: "Task", at: "datetime") -> list[str]:
    return [
        str(task.number),
        task.role.value,
        task.state.value,
        _task_progress(task),
        _task_time(task, at),
        str(task.lease_epoch),
        str(task.failures),
        str(task.lost_leases),
        str(task.preemptions),
        _task_reason(task, at),
    ]


def _task_time(task: "Task", at: "datetime") -> str:
    """How long its last attempt took, or takes; of a task that waits again only the attempts tell it."""
    end = at if task.state is State.RUNNING else task.finished_at
    return duration((end - task.started_at).total_seconds()) if task.started_at and end else "–"


def _task_reason(task: "Task", at: "datetime") -> str:
    reason = f"{task.reason}: {task.message}" if task.reason and task.message else task.reason or task.message or ""
    if task.stop_to is not None:
        return f"stops at its next checkpoint, then {task.stop_to}"
    if task.state is State.PENDING and task.available_at is not None and task.available_at > at:
        again = f"again in {duration((task.available_at - at).total_seconds())}"
        return f"{again}, after {reason}" if reason else again
    if task.state is State.PENDING and task.preemptions:
        return reason or "was given back by its worker"
    return reason


def _task_progress(task: "Task") -> str:
    if task.state is State.SUCCEEDED:
        return "100%"
    done, total = task.progress.get("done"), task.progress.get("total")
    if not isinstance(done, int | float) or not isinstance(total, int | float) or not total:
        return "–"
    return percent(int(done), int(total))


def _attempt_row(number: int, attempt: "Attempt", task: "Task", worker: "Worker", at: "datetime") -> list[str]:
    return [
        str(number),
        str(task.number),
        worker.name,
        attempt.outcome.value if attempt.outcome else "running",
        duration(((attempt.finished_at or at) - attempt.started_at).total_seconds()),
        attempt.folder,
        ": ".join(part for part in (attempt.reason, attempt.message) if part),
    ]


def _event_row(event: "Event", task_numbers: Mapping[int, int]) -> list[str]:
    task = task_numbers.get(event.task_id) if event.task_id is not None else None
    return [
        utc(event.at),
        event.actor,
        event.action,
        "–" if task is None else str(task),
        event.to_state or "–",
        event.detail or "",
    ]


def detail_json(details: JobDetails) -> dict[str, Any]:
    """The job as JSON, with its tasks, attempts and events."""
    return {
        **job_json(details.line, details.situation),
        "images_done": done_images(details.line),
        "model": model_of(details.line.job.spec),
        "tasks": [_task_json(task) for task in details.tasks],
        "attempts": [_attempt_json(*rows) for rows in details.attempts],
        "events": [_event_json(event) for event in details.events],
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


def _attempt_json(attempt: "Attempt", task: "Task", worker: "Worker") -> dict[str, Any]:
    names = ("lease_epoch", "folder", "reason", "message", "started_at", "finished_at")
    return {
        "task": task.number,
        "worker": worker.name,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        **{name: getattr(attempt, name) for name in names},
    }


def _event_json(event: "Event") -> dict[str, Any]:
    names = ("at", "actor", "action", "task_id", "from_state", "to_state", "detail")
    return {name: getattr(event, name) for name in names}
