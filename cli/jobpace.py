"""How far a job is, how quick, and what it is bound by, as its own screen says it."""

from typing import TYPE_CHECKING

from cli.jobs import rate_text, run_time
from client.jobs import eta_seconds, progress_text
from client.wording import count, duration
from pixmill.stages import Stage, bound_by
from pixmill.states import State

if TYPE_CHECKING:
    from datetime import datetime

    from db.views import JobLine


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
