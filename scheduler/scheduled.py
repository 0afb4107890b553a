"""What a schedule asks for at one of its times: a job, or a run of a pipeline; and what becomes of those before it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.control import cancel_job
from db.jobs import NewJob
from db.pipelines import unfinished_runs
from db.schedules import unfinished_jobs
from db.tables.schedules import Schedule
from pixmill.errors import Conflict, InvalidMove
from pixmill.pipelines import given_params, is_pipeline, parse_pipeline
from pixmill.schedules import Overlap
from pixmill.specs import parse_options, parse_spec, split_document
from scheduler.pipelineacts import begin_run, cancel_run
from scheduler.pipelinechecks import check_pipeline
from scheduler.pipelinevalues import facts_of
from scheduler.submit import add_prepared, prepare
from scheduler.validation import check_outputs

MOST_QUEUED = 100  # unfinished jobs, or runs of a pipeline, of one schedule
DATE = "{date}"  # in the name of a job: the day of the run, by the clocks of the schedule's zone


class Overlapping(Conflict):
    """Jobs, or runs of a pipeline, of earlier times keep this one from starting."""


@dataclass(frozen=True)
class Started:
    """What a schedule has started: a job, or a run of a pipeline."""

    job_id: int | None = None
    run_id: int | None = None


def submit_run(session: Session, schedule: Schedule, logical: datetime, outputs: str | None) -> Started:
    """Add what a schedule asks for, for this time.  The caller holds the schedule's lock.

    `outputs` is the setting storage.outputs. Raises Conflict when earlier runs forbid it, or as
    `scheduler.submit.submit`.
    """
    if is_pipeline(schedule.document):
        return Started(run_id=_submit_pipeline(session, schedule, logical, outputs))
    return Started(job_id=_submit_job(session, schedule, logical, outputs))


def _submit_job(session: Session, schedule: Schedule, logical: datetime, outputs: str | None) -> int:
    unfinished = unfinished_jobs(session, schedule.id, MOST_QUEUED)
    _refuse_overlap(schedule, unfinished, "job", "pixmill job why")
    new = prepare_run(session, schedule.document, schedule.name, logical, user=schedule.user_name, outputs=outputs)
    if schedule.overlap is Overlap.CANCEL_PREVIOUS:
        _cancel_all(session, cancel_job, unfinished, schedule, logical)
    # A cancelled job still runs until its worker has heard of it.
    return add_prepared(session, [replace(new, parents={**new.parents, **dict.fromkeys(unfinished, True)})])[0]


def _cancel_all(
    session: Session, cancel: Callable[..., object], ids: Iterable[int], schedule: Schedule, logical: datetime
) -> None:
    """Cancel earlier jobs or pipeline runs of a schedule, of which the run of `logical` takes over."""
    for each in ids:
        with suppress(InvalidMove):  # it has ended since it was looked for
            cancel(session, each, actor=f"schedule {schedule.name}", why=f"the run of {told(logical)} takes over")


def _submit_pipeline(session: Session, schedule: Schedule, logical: datetime, outputs: str | None) -> int:
    unfinished = unfinished_runs(session, schedule.id, MOST_QUEUED)
    _refuse_overlap(schedule, unfinished, "pipeline run", "pixmill pipeline show")
    spec = parse_pipeline(schedule.document)
    params = given_params(spec, {})
    user = schedule.user_name
    run = begin_run(session, spec, params, logical, user=user, outputs=outputs, schedule=schedule, in_turn=True)
    if schedule.overlap is Overlap.CANCEL_PREVIOUS:
        _cancel_all(session, cancel_run, unfinished, schedule, logical)
    return run.id


def _refuse_overlap(schedule: Schedule, unfinished: Sequence[int], unit: str, command: str) -> None:
    if unfinished and schedule.overlap is Overlap.SKIP:
        last = unfinished[-1]
        raise Overlapping(f"{unit} {last} of an earlier run has not ended", hint=f"{command} {last}")
    if len(unfinished) == MOST_QUEUED:
        raise Overlapping(f"{MOST_QUEUED} {unit}s have not ended, the last is {unit} {unfinished[-1]}")


def check_document(
    session: Session, document: Mapping[str, Any], name: str, logical: datetime, *, user: str, outputs: str | None
) -> None:
    """Could this be submitted now?  Raises as `submit_run`."""
    if is_pipeline(document):
        spec = parse_pipeline(document)
        check_pipeline(session, spec, given_params(spec, {}), facts_of(logical), user=user, outputs=outputs)
    else:
        prepare_run(session, document, name, logical, user=user, outputs=outputs)


def prepare_run(
    session: Session, document: Mapping[str, Any], name: str, logical: datetime, *, user: str, outputs: str | None
) -> NewJob:
    """The job that a schedule's document asks for at a time; adds nothing.

    `outputs` is the setting storage.outputs. Raises as `scheduler.submit.submit`.
    """
    spec_values, option_values = split_document(dated(document, logical))
    options = parse_options(option_values)
    labels = {**options.labels, "schedule": name, "scheduled_for": told(logical)}
    spec = parse_spec(spec_values)
    check_outputs(spec, outputs)
    return prepare(session, spec, options.model_copy(update={"labels": labels}), user=user)


def dated(document: Mapping[str, Any], logical: datetime) -> dict[str, Any]:
    """A document as it reads at a time: `{date}` in the job's name becomes the day.

    >>> dated({"kind": "ping", "name": "night-{date}"}, datetime(2026, 11, 22, 2))
    {'kind': 'ping', 'name': 'night-2026-11-22'}
    """
    if not isinstance(document.get("name"), str):
        return dict(document)
    return {**document, "name": document["name"].replace(DATE, f"{logical:%Y-%m-%d}")}


def told(logical: datetime) -> str:
    """A time of a schedule with its offset from UTC, as its jobs are labelled.

    >>> told(datetime.fromisoformat("2026-11-22T02:00:00+01:00"))
    '2026-11-22T02:00:00+01:00'
    """
    return logical.isoformat(timespec="seconds")
