"""Schedules: what their times become, whatever happens in between.

Each time of a schedule becomes one row: a job that was submitted, or the reason why none was. The job is added, the row
written and the next time set in one transaction that holds the schedule's lock, so that any number of schedulers may
do this at once.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, takewhile
from typing import Any

from sqlalchemy.orm import Session

from db.control import cancel_job
from db.engine import Database
from db.jobs import NewJob
from db.schedules import add_run, due_schedules, earliest_run, lock_due, unfinished_jobs
from db.tables import Schedule, ScheduleRun
from db.workers import database_time
from pixmill.errors import Conflict, InvalidMove, PixmillError, Unavailable
from pixmill.schedules import Catchup, Overlap, RunOutcome, SkipReason
from pixmill.specs import parse_options, parse_spec, split_document
from scheduler.blackouts import parse_blackout
from scheduler.cron import Cron, read_cron
from scheduler.submit import add_prepared, prepare
from scheduler.validation import check_outputs

log = logging.getLogger(__name__)

SCHEDULES_AT_ONCE = 20  # that one look works off, each in a transaction of its own: a device shall not wait for more
TIMES_AT_ONCE = 50  # of one schedule
LEFT_ALONE_SECONDS = 60.0
MOST_QUEUED = 100  # unfinished jobs of one schedule
DATE = "{date}"  # in the name of a job: the day of the run, by the clocks of the schedule's zone

Clock = Callable[[Session], datetime]


@dataclass(frozen=True)
class Due:
    """One time of a schedule."""

    logical: datetime  # by the expression, in the schedule's zone
    begins: datetime  # with its jitter, in UTC


class Planner:
    """Starts what schedules ask for; `outputs` is where finished data sets go, as the setting storage.outputs says."""

    def __init__(self, database: Database, clock: Clock = database_time, *, outputs: str | None) -> None:
        self._database = database
        self._clock = clock
        self._outputs = outputs
        self.seconds_to_next: float | None = None  # until a run is due; None: there is none
        self._left_alone: dict[int, float] = {}  # schedules that cannot be read, by the monotonic clock until when

    def start_due(self) -> int:
        """Decide on the times that have come; gives how many jobs were added.  Raises DatabaseUnreachable."""
        at, earliest = self._database.consult(lambda session: (self._clock(session), earliest_run(session)))
        self.seconds_to_next = None if earliest is None else max(0.0, (earliest - at).total_seconds())
        if self.seconds_to_next != 0.0:
            return 0
        now = time.monotonic()
        self._left_alone = {each: until for each, until in self._left_alone.items() if until > now}
        limit = SCHEDULES_AT_ONCE + len(self._left_alone)
        due = self._database.consult(partial(due_schedules, at=at, limit=limit))
        sound = [each for each in due if each not in self._left_alone]
        if not sound:
            self.seconds_to_next = None  # the next tick is early enough
        return sum(self._worked_off(each, at) for each in sound)

    def _worked_off(self, schedule_id: int, at: datetime) -> int:
        try:
            return self._database.transact(partial(work_off, schedule_id=schedule_id, at=at, outputs=self._outputs))
        except Unavailable:
            raise
        except Exception:  # one row that nobody can read must stop neither the other schedules nor the queue
            log.exception("schedule %d is left alone for a while", schedule_id, extra={"action": "schedule"})
            self._left_alone[schedule_id] = time.monotonic() + LEFT_ALONE_SECONDS
            return 0


def next_due(cron: Cron, name: str, jitter_seconds: float, after: datetime) -> Due | None:
    """The first time after a moment.

    The jitter follows from the schedule's name and the time, so that it is the same whoever asks.
    """
    logical = cron.after(after)
    if logical is None:
        return None
    digest = hashlib.sha256(f"{name} {logical.isoformat()}".encode()).digest()
    share = int.from_bytes(digest[:4]) / 2**32
    return Due(logical, logical.astimezone(UTC) + timedelta(seconds=round(share * jitter_seconds)))


def upcoming(schedule: Schedule, count: int) -> list[Due]:
    """The next `count` times of a stored schedule, if there are so many."""
    return list(islice(_coming(schedule), count))


def _coming(schedule: Schedule) -> Iterator[Due]:
    """All times of a stored schedule that are not decided yet."""
    cron = cron_of(schedule)
    due: Due | None = None
    if schedule.next_for is not None and schedule.next_run_at is not None:
        due = Due(cron.local(schedule.next_for), schedule.next_run_at)
    while due is not None:
        yield due
        due = next_due(cron, schedule.name, schedule.jitter_seconds, due.logical.astimezone(UTC))


def set_next(schedule: Schedule, after: datetime) -> None:
    """Point a schedule at its first time after a moment."""
    due = next_due(cron_of(schedule), schedule.name, schedule.jitter_seconds, after)
    schedule.next_for = due.logical.astimezone(UTC) if due else None
    schedule.next_run_at = due.begins if due else None


def cron_of(schedule: Schedule) -> Cron:
    """The times of a stored schedule."""
    return read_cron(schedule.cron, schedule.zone)


def work_off(session: Session, schedule_id: int, at: datetime, outputs: str | None) -> int:
    """Decide on the first fifty times of one schedule that have come; gives how many jobs were added."""
    schedule = lock_due(session, schedule_id, at)
    added = 0
    for _ in range(TIMES_AT_ONCE):
        if schedule is None or schedule.next_run_at is None or schedule.next_run_at > at:
            break
        assert schedule.next_for is not None
        due = Due(cron_of(schedule).local(schedule.next_for), schedule.next_run_at)
        set_next(schedule, schedule.next_for)
        run = add_run(session, schedule, _decide(session, schedule, due, at, outputs))
        added += run.outcome is RunOutcome.SUBMITTED
        _tell(schedule, run)
    return added


def _decide(session: Session, schedule: Schedule, due: Due, at: datetime, outputs: str | None) -> ScheduleRun:
    run = ScheduleRun(schedule_id=schedule.id, scheduled_for=due.logical, decided_at=at)
    skipped = _skipped_by_plan(schedule, due, at)
    try:
        if skipped is None:
            with session.begin_nested():  # a run that is refused cancels nothing
                run.outcome, run.job_id = RunOutcome.SUBMITTED, submit_run(session, schedule, due.logical, outputs)
            return run
    except _Overlapping as overlap:
        skipped = SkipReason.OVERLAP, overlap.message
    except Unavailable:
        raise
    except PixmillError as error:
        run.outcome, run.reason, run.message = RunOutcome.REFUSED, type(error).__name__, error.message
        return run
    run.outcome, (run.reason, run.message) = RunOutcome.SKIPPED, skipped
    return run


def _skipped_by_plan(schedule: Schedule, due: Due, at: datetime) -> tuple[SkipReason, str] | None:
    """Why a time that has come is let pass, whatever else goes on."""
    if schedule.paused:
        return SkipReason.PAUSED, schedule.paused_reason or "by an operator"
    window = blackout_at(schedule, due.begins) or blackout_at(schedule, at)
    if window is not None:
        return SkipReason.BLACKOUT, f"within {window}"
    late = (at - due.begins).total_seconds()
    if late > schedule.deadline_seconds:
        return (
            SkipReason.TOO_LATE,
            f"the run is {_span(late)} late; allowed are {_span(schedule.deadline_seconds)}",
        )
    if schedule.catchup is Catchup.LATEST and _is_superseded(schedule, at):
        return SkipReason.SUPERSEDED, "a later run was due as well, which is made up for"
    return None


def _is_superseded(schedule: Schedule, at: datetime) -> bool:
    """Whether a later time has come as well that no blackout will skip."""
    later = takewhile(lambda due: due.begins <= at, _coming(schedule))
    return any(blackout_at(schedule, due.begins) is None for due in later)


def blackout_at(schedule: Schedule, moment: datetime) -> str | None:
    """The window of a schedule that covers a moment, as it was given."""
    local = cron_of(schedule).local(moment)
    return next((text for text in schedule.blackouts if parse_blackout(text).covers(local)), None)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class _Overlapping(Conflict):
    """Jobs of earlier runs keep this one from starting."""


def submit_run(session: Session, schedule: Schedule, logical: datetime, outputs: str | None) -> int:
    """Add what a schedule asks for, for this time; gives the job's id.  The caller holds the schedule's lock.

    `outputs` is the setting storage.outputs. Raises Conflict when jobs of earlier runs forbid it, or as
    `scheduler.submit.submit`.
    """
    unfinished = unfinished_jobs(session, schedule.id, MOST_QUEUED)
    if unfinished and schedule.overlap is Overlap.SKIP:
        raise _Overlapping(
            f"job {unfinished[-1]} of an earlier run has not ended", hint=f"pixmill job why {unfinished[-1]}"
        )
    if len(unfinished) == MOST_QUEUED:
        raise _Overlapping(f"{MOST_QUEUED} jobs have not ended, the last is job {unfinished[-1]}")
    new = prepare_run(session, schedule.document, schedule.name, logical, user=schedule.user_name, outputs=outputs)
    if schedule.overlap is Overlap.CANCEL_PREVIOUS:
        _cancel_all(session, unfinished, schedule, why=f"the run of {told(logical)} takes over")
    # A cancelled job still runs until its worker has heard of it.
    return add_prepared(session, [replace(new, parents={**new.parents, **dict.fromkeys(unfinished, True)})])[0]


def _cancel_all(session: Session, job_ids: Iterable[int], schedule: Schedule, *, why: str) -> None:
    for job_id in job_ids:
        with suppress(InvalidMove):  # it has ended since it was looked for
            cancel_job(session, job_id, actor=f"schedule {schedule.name}", why=why)


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


def _tell(schedule: Schedule, run: ScheduleRun) -> None:
    facts = {"action": "schedule", "schedule": schedule.name, "outcome": run.outcome.value, "job": run.job_id}
    level = logging.WARNING if run.outcome is RunOutcome.REFUSED else logging.INFO
    log.log(level, "schedule ran", extra={**facts, "reason": run.message})
