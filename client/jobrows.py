"""What a job consists of and what happened to it, as cells of tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from client.moments import stamp
from client.wording import duration, percent
from pixmill.states import State

if TYPE_CHECKING:
    from datetime import datetime

    from db.ends import AttemptRow, EventRow
    from db.tables.jobs import Task


def rate_row(rate: Mapping[str, Any]) -> list[str]:
    """Files, bits of a pixel, PSNR, SSIM."""
    ratio = "lossless" if rate["psnr"] is None else f"{rate['psnr']:.2f} dB"
    return [rate["name"], f"{rate['bits_per_pixel']:.3f}", ratio, f"{rate['ssim']:.4f}"]


def task_row(task: "Task", at: "datetime") -> list[str]:
    """Number, role, state, progress, time, tries, failures, lost leases, preemptions, reason."""
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


def attempt_row(number: int, row: "AttemptRow", at: "datetime") -> list[str]:
    """Number, task, worker, outcome, time, folder, reason."""
    attempt, task, worker = row
    return [
        str(number),
        str(task.number),
        worker.name,
        attempt.outcome.value if attempt.outcome else "running",
        duration(((attempt.finished_at or at) - attempt.started_at).total_seconds()),
        attempt.folder,
        ": ".join(part for part in (attempt.reason, attempt.message) if part),
    ]


def event_row(row: "EventRow") -> list[str]:
    """When, who, what, task, state afterwards, detail."""
    event, task = row
    return [
        stamp(event.at),
        event.actor,
        event.action,
        "–" if task is None else str(task),
        event.to_state or "–",
        event.detail or "",
    ]
