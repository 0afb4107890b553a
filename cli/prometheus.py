"""The state of an installation as metrics, in the text format that Prometheus reads.

No label grows with the number of jobs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.context import Workspace
from client.answers import Answer
from pixmill.errors import PixmillError
from pixmill.schedules import RunOutcome
from pixmill.states import State

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from client.health import Health
    from db.schedules import ScheduleLine
    from db.tables import PipelineRun

ANSWER_SECONDS = 1.0
PREFIX = "pixmill"
SUBMITTED = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.CANCELLED: "cancelled"}  # else: running


@dataclass(frozen=True)
class Sample:
    """One number and its labels."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Metric:
    """One gauge: what it tells, and its samples."""

    name: str
    help: str
    samples: Sequence[Sample]


def read_metrics(workspace: Workspace, health: "Health") -> list[Metric]:
    """What can be told now; of a database that does not answer, only that."""
    parts = [Sample(float(check.is_ok), {"part": check.part}) for check in health.checks]
    found = [Metric("check_ok", "whether a part of `pixmill status` needs no attention", parts)]
    if health.checks[0].is_ok:
        asked = Answer(lambda: _ask_database(workspace))
        try:
            found += asked.get(time.monotonic() + ANSWER_SECONDS)
        except (TimeoutError, PixmillError):
            found[0] = Metric(found[0].name, found[0].help, [Sample(0.0, {"part": "database"}), *parts[1:]])
    return found


def _ask_database(workspace: Workspace) -> list[Metric]:
    from db.diagnosis import failures_since, jobs_by_state
    from db.pipelines import last_runs
    from db.schedules import schedule_lines
    from db.workers import database_time

    with workspace.unchecked_database.read() as session:
        at = database_time(session)
        jobs = jobs_by_state(session)
        states = [Sample(jobs.get(state, 0), {"state": state.value}) for state in State]
        failed = [Sample(sum(failures_since(session, 24.0).values()), {})]
        return [
            Metric("jobs", "jobs by state, all that there are", states),
            Metric("jobs_failed_last_day", "jobs that failed within 24 hours", failed),
            *_of_schedules(schedule_lines(session), at),
            *_of_pipelines(last_runs(session), at),
            *_of_notifications(session),
        ]


def _of_schedules(lines: "Sequence[ScheduleLine]", at: "datetime") -> Iterator[Metric]:
    last = [line for line in lines if line.last is not None]
    ages = [Sample(_age(line, at), {"schedule": line.schedule.name}) for line in last]
    verdicts = [Sample(1, {"schedule": line.schedule.name, "result": _result(line)}) for line in last]
    yield Metric("schedule_last_run_age_seconds", "since the time of a schedule's last run", ages)
    yield Metric("schedule_last_run", "what became of a schedule's last run, as the label result", verdicts)


def _age(line: "ScheduleLine", at: "datetime") -> float:
    assert line.last is not None
    return (at - line.last.run.scheduled_for).total_seconds()


def _result(line: "ScheduleLine") -> str:
    assert line.last is not None
    if line.last.pipeline is not None:
        return line.last.pipeline.state.value
    if line.last.run.outcome is not RunOutcome.SUBMITTED:
        return line.last.run.outcome.value
    return "gone" if line.last.job_state is None else SUBMITTED.get(line.last.job_state, "running")


def _of_pipelines(runs: "Sequence[PipelineRun]", at: "datetime") -> Iterator[Metric]:
    ages = [Sample((at - run.scheduled_for).total_seconds(), {"pipeline": run.name}) for run in runs]
    results = [Sample(1, {"pipeline": run.name, "result": run.state.value}) for run in runs]
    yield Metric("pipeline_last_run_age_seconds", "since the time of a pipeline's last run", ages)
    yield Metric("pipeline_last_run", "how a pipeline's last run stands, as the label result", results)


def _of_notifications(session: "Session") -> Iterator[Metric]:
    from db.notifications import tally

    numbers = tally(session)
    states = ("waiting", "sent", "failed", "skipped")
    samples = [Sample(getattr(numbers, state), {"state": state}) for state in states]
    yield Metric("notifications", "notifications that are kept, by state", samples)
    undelivered = [Sample(numbers.undelivered, {})]
    yield Metric("notifications_undelivered", "notifications that were tried in vain, or given up", undelivered)


def exposition(metrics: Sequence[Metric]) -> str:
    """The lines that Prometheus and its collectors of text files read."""
    return "".join(f"{line}\n" for metric in metrics if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    name = f"{PREFIX}_{metric.name}"
    yield f"# HELP {name} {metric.help}"
    yield f"# TYPE {name} gauge"
    for sample in metric.samples:
        labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
        yield f"{name}{{{labels}}} {_number(sample.value)}" if labels else f"{name} {_number(sample.value)}"


def _escaped(text: str) -> str:
    r"""A label's value between its quotes.

    >>> print(_escaped('a "b" \\ c'))
    a \"b\" \\ c
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """A whole number without a point.

    >>> _number(3.0), _number(0.5)
    ('3', '0.5')
    """
    return str(int(value)) if value == int(value) else repr(float(value))
