"""One job as a table row and as JSON."""

import socket
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.formatting import age, duration, percent
from cli.output import Column
from cli.reasons import reason_of, reason_text
from cli.situation import Situation
from pixmill.stages import bound_by
from pixmill.states import State

if TYPE_CHECKING:
    from db.views import JobLine

COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="NAME", shrinks=True, least=12),
    Column(title="KIND", dropped=4),
    Column(title="MODEL", shrinks=True, least=8, dropped=5),
    Column(title="STATE"),
    Column(title="PROG", align="right", dropped=1),
    Column(title="DEVICE", shrinks=True, least=6, dropped=3),
    Column(title="AGE", align="right", dropped=7),
    Column(title="TIME", align="right", dropped=2),
    Column(title="RATE", align="right", dropped=8),
    Column(title="ETA", align="right", dropped=6),
    Column(title="BOUND", dropped=9),
    Column(title="REASON", shrinks=True, least=16),
]
WIDE_COLUMNS = [
    *COLUMNS[:-1],
    Column(title="QUEUE", shrinks=True),
    Column(title="PRIO", align="right"),
    Column(title="USER", shrinks=True),
    Column(title="TASKS", align="right"),
    Column(title="SUBMITTED"),
    Column(title="KEY", shrinks=True),
    Column(title="LABELS", shrinks=True),
    COLUMNS[-1],
]


def job_row(line: "JobLine", situation: Situation) -> list[str]:
    """The cells of COLUMNS."""
    job = line.job
    return [
        str(job.id),
        job.name,
        job.kind,
        model_of(job.spec) or "–",
        job.state.value,
        progress_text(line),
        device_text(line.devices),
        age(job.submitted_at, situation.at),
        run_time(line, situation.at),
        rate_text(line),
        eta_text(line),
        bound_by(line.spent) or "–",
        reason_text(reason_of(line, situation)),
    ]


def wide_job_row(line: "JobLine", situation: Situation) -> list[str]:
    """The cells of WIDE_COLUMNS."""
    job = line.job
    *cells, reason = job_row(line, situation)
    labels = ",".join(f"{key}={value}" for key, value in sorted(job.labels.items()))
    return [
        *cells,
        job.queue,
        str(job.priority),
        job.user_name,
        f"{line.tasks_done}/{line.tasks}",
        f"{job.submitted_at:%Y-%m-%dT%H:%M:%SZ}",
        job.key or "–",
        labels or "–",
        reason,
    ]


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


def rate_text(line: "JobLine") -> str:
    """Images a second, or – where nobody knows."""
    return "–" if line.rate is None else f"{line.rate:,.{0 if line.rate >= 10 else 1}f}/s"


def eta_seconds(line: "JobLine") -> float | None:
    """Until its images are there, if it goes on as it does now; None: nobody knows, or it is not running."""
    left = line.job.progress_total - done_images(line)
    return round(left / line.rate, 1) if line.rate and left > 0 and line.job.state is State.RUNNING else None


def eta_text(line: "JobLine") -> str:
    """`eta_seconds` as a cell."""
    seconds = eta_seconds(line)
    return "–" if seconds is None else duration(seconds)


def device_text(devices: tuple[str, ...]) -> str:
    """Where it runs: the device's name alone if it is one of this host."""
    if len(devices) > 1:
        return f"{len(devices)} devices"
    return devices[0].removeprefix(f"{socket.gethostname()}:") if devices else "–"


def run_seconds(line: "JobLine", at: datetime) -> float | None:
    """From its first start until its end, or until now."""
    job = line.job
    if job.started_at is None:
        return None
    return max(0.0, ((job.finished_at or at) - job.started_at).total_seconds())


def run_time(line: "JobLine", at: datetime) -> str:
    """`run_seconds` as a cell."""
    seconds = run_seconds(line, at)
    return "–" if seconds is None else duration(seconds)
