"""One job in full, as a screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.formatting import spec_fields, stamp, value_text
from cli.jobpace import pace_fields
from cli.jobs import device_text
from cli.jobtables import SHOWN_ROWS, print_attempts, print_events, print_gates, print_metrics, print_rates, print_tasks
from cli.metrics import metric_table
from cli.output import print_fields, print_title
from client.comparing import stored_metrics
from client.jobdetails import JobDetails
from client.reasons import reason_of, reason_text
from client.wording import age, duration, plural, size
from pages.driftfacts import drift_fields
from storage.s3.bucket import located

if TYPE_CHECKING:
    from db.ends import TaskSums

_PATHS = {
    "output", "contact_sheet", "index", "report", "neighbours", "manifest", "strips", "sequences", "restoration",
    "data_traces", "challenger_sheet", "champion_sheet", "page",
}  # fmt: skip  # of a result, below the storage root
_TABLES = {"rates", "gates", "primary", "sheet_columns"}  # of a result, that are shown as such, or beside pictures


def print_details(details: JobDetails) -> None:
    """Print the screen."""
    job = details.line.job
    print_title(f"job {job.id}  {job.name}")
    print_fields(_head_fields(details))
    print_title("spec", gap=True)
    print_fields(spec_fields({"kind": job.kind, **job.spec}))
    _print_result(details)
    print_gates([row for result in details.results for row in result.get("gates", ())])
    rates = [rate for result in details.results for rate in result.get("rates", ())]
    print_rates(rates)
    if not rates:
        # A train job's are the figures of every predicted frame: its model has them all.
        most = SHOWN_ROWS if job.kind == "train" else None
        print_metrics(*metric_table(stored_metrics(details.metrics)), most)
    at = details.situation.at
    print_tasks(details.tasks, at)
    print_attempts(details.attempts, at)
    print_events(details.events)


def _head_fields(details: JobDetails) -> dict[str, str]:
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
        "pipeline": f"step {line.place.step} of run {line.place.run.id} ({line.place.run.name})" if line.place else "",
    }
    return {name: value for name, value in fields.items() if value}


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


def _print_result(details: JobDetails) -> None:
    fields: dict[str, str] = {}
    for result in details.results:
        fields |= _result_fields(result, details.root)
    if fields:
        print_title("result", gap=True)
        print_fields(fields)


def _result_fields(result: Mapping[str, Any], root: Path) -> dict[str, str]:
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
