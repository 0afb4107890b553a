"""What is to be known of one job, in lines: how far it is and how quick, its counters, what it has found."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.jobdetails import JobDetails
from client.jobs import device_text, eta_seconds, progress_text, rate_text, run_time
from client.moments import stamp
from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.values import value_text
from client.wording import age, count, duration, plural, size
from pages.driftfacts import drift_fields
from pixmill.stages import Stage, bound_by
from pixmill.states import State
from storage.s3.bucket import located

if TYPE_CHECKING:
    from datetime import datetime

    from db.ends import TaskSums
    from db.listing import JobLine

_PATHS = {
    "output", "contact_sheet", "index", "report", "neighbours", "manifest", "strips", "sequences", "restoration",
    "data_traces", "challenger_sheet", "champion_sheet", "page",
}  # fmt: skip  # of a result, below the storage root
_TABLES = {"rates", "gates", "primary", "sheet_columns"}  # of a result, that are shown as such, or beside pictures


def head_fields(details: JobDetails) -> dict[str, str]:
    """State, pace, times, counters; empty ones are left out."""
    line, at = details.line, details.situation.at
    job = line.job
    fields = {
        "state": job.state.value,
        "reason": reason_text(reason_of(line, details.situation)),
        **pace_fields(line, at),
        "device": device_text(line.devices) if line.devices else "",
        "submitted": f"{stamp(job.submitted_at)} by {job.user_name}, {age(job.submitted_at, at)} ago",
        "started": stamp(job.started_at) if job.started_at else "",
        "finished": stamp(job.finished_at) if job.finished_at else "",
        "begin": stamp(job.begin_at) if job.begin_at else "",
        "queue": job.queue + (f", priority {job.priority}" if job.priority else ""),
        "retries": _retries(details.sums),
        "counters": _counters(details.sums),
        "time limit": _time_limit(details.sums),
        "key": job.key or "",
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(job.labels.items())),
        "array": _array(details),
        "pipeline": f"step {line.place.step} of run {line.place.run.id} ({line.place.run.name})" if line.place else "",
    }
    return {name: value for name, value in fields.items() if value}


def _array(details: JobDetails) -> str:
    """Its place in an array, and how that stands."""
    job = details.line.job
    if job.array_id is None:
        return ""
    load = details.situation.arrays[job.array_id]
    limit = "" if load.max_running is None else f", {load.active} of at most {load.max_running} at once run"
    return f"element {job.array_index} of array {job.array_id}, which has {plural(load.size, 'job')}{limit}"


def _retries(sums: "TaskSums") -> str:
    """What is used and left of the retries after failures; an operator's retry begins anew."""
    granted, used = sums.retries, sums.most_used
    if not used:
        return f"{granted}{' a task' if sums.tasks > 1 else ''}"
    of_task = " (by the task that failed most)" if sums.tasks > 1 else ""
    return f"{min(used, granted)} of {granted} used{of_task}, {max(0, granted - used)} left"


def _counters(sums: "TaskSums") -> str:
    """What has gone wrong, over all tasks, and what an operator's retry has forgiven of it."""
    numbers = {"failure": sums.failures, "lost lease": sums.lost_leases, "preemption": sums.preemptions}
    words = [plural(number, noun) for noun, number in numbers.items() if number]
    return ", ".join(words) + (f" ({sums.excused} excused by a retry)" if sums.excused else "")


def _time_limit(sums: "TaskSums") -> str:
    return f"{duration(sums.time_limit_seconds)} for an attempt" if sums.time_limit_seconds is not None else ""


def result_fields(result: Mapping[str, Any], root: Path) -> dict[str, str]:
    """What a task has found; tables and what is empty are left out."""
    fields = {}
    for key, value in result.items():
        if value in (None, {}, []) or key.endswith("_id") or key in _TABLES:
            continue
        if key in {"metric", "headline"} and isinstance(value, Mapping):
            fields[str(value.get("name"))] = value_text(value.get("value"))
        elif key == "fidelity":
            fields |= {way: f"PSNR {mean['psnr']:.2f} dB, SSIM {mean['ssim']:.4f}" for way, mean in value.items()}
        elif key == "drift":
            fields |= drift_fields(value)
        elif key == "skipped":
            fields["skipped"] = f"{value['reason']}: {value['detail']}"
        elif key in _PATHS:
            fields[key.replace("_", " ")] = located(str(value), root)
        elif key == "bytes":
            fields["size"] = size(value)
        else:
            fields[key.replace("_", " ")] = value_text(value)
    return fields


def pace_fields(line: "JobLine", at: "datetime") -> dict[str, str]:
    """Lines of the screen; empty ones are left out there."""
    return {"progress": _progress(line, at), "rate": _rate(line), "bound by": _bound(line)}


def _progress(line: "JobLine", at: "datetime") -> str:
    if not line.job.progress_total:
        return ""
    images = f"{count(line.job.progress_total)} images"
    if line.job.started_at is None:
        return f"not started, {images}"
    seconds = eta_seconds(line)
    left = "" if seconds is None else f", {duration(seconds)} left"
    return f"{progress_text(line)} of {images} in {run_time(line, at)}{left}"


def _rate(line: "JobLine") -> str:
    if line.rate is None:
        return ""
    minute = " of the last minute" if line.spent and line.job.state is State.RUNNING else ""
    return f"{rate_text(line).removesuffix('/s')} images a second{minute}"


def _bound(line: "JobLine") -> str:
    """By what, and what its seconds went to."""
    whole = sum(line.spent.values())
    shares = [f"{stage} {line.spent[stage] / whole:.0%}" for stage in Stage if line.spent.get(stage)]
    return f"{bound_by(line.spent)} ({', '.join(shares)})" if shares else ""
