"""Schedules: what their times become, whatever happens in between.

Each time of a schedule becomes one row: a job, or a run of a pipeline, that was submitted, or the reason why none was.
It is added, the row written and the next time set in one transaction that holds the schedule's lock, so that any number
of schedulers may do this at once.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, takewhile

from sqlalchemy.orm import Session

from db.engine import Database
from db.schedules import add_run, due_schedules, earliest_run, lock_due
from db.tables.schedules import Schedule, ScheduleRun
from db.workers import database_time
from pixmill.errors import CorruptRow, PixmillError, Unavailable, UserError
from pixmill.schedules import Catchup, RunOutcome, SkipReason
from scheduler.blackouts import Blackout, parse_blackout
from scheduler.cron import UNREADABLE, Cron, read_cron
from scheduler.leftalone import LeftAlone
from scheduler.scheduled import Overlapping, submit_run

log = logging.getLogger(__name__)

SCHEDULES_AT_ONCE = 20  # that one look works off, each in a transaction of its own: a device shall not wait for more
TIMES_AT_ONCE = 50  # of one schedule

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
        self._left_alone = LeftAlone("schedule", database.corrupt_rows)

    def start_due(self) -> int:
        """Decide on the times that have come; gives how many jobs and pipeline runs were added.

        Raises DatabaseUnreachable.
        """
        at, earliest = self._database.consult(lambda session: (self._clock(session), earliest_run(session)))
        self.seconds_to_next = None if earliest is None else max(0.0, (earliest - at).total_seconds())
        if self.seconds_to_next != 0.0:
            return 0
        limit = SCHEDULES_AT_ONCE + len(self._left_alone)
        due = self._database.consult(partial(due_schedules, at=at, limit=limit))
        sound = self._left_alone.sound(due)
        if not sound:
            self.seconds_to_next = None  # the next tick is early enough
        return sum(self._worked_off(each, at) for each in sound)

    def _worked_off(self, schedule_id: int, at: datetime) -> int:
        act = partial(work_off, schedule_id=schedule_id, at=at, outputs=self._outputs)
        return self._left_alone.attempt(schedule_id, partial(self._database.transact, act)) or 0


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
    """The times of a stored schedule.  Raises CorruptRow for one that nobody can read."""
    try:
        return read_cron(schedule.cron, schedule.zone)
    except UNREADABLE as error:
        raise _corrupt(schedule, f"cron {schedule.cron!r} in zone {schedule.zone!r} ({error})") from None


def _blackouts_of(schedule: Schedule) -> list[tuple[str, Blackout]]:
    """The windows of a stored schedule, each with its text.  Raises CorruptRow."""
    found = []
    for text in schedule.blackouts:
        try:
            found.append((text, parse_blackout(text)))
        except (UserError, TypeError, AttributeError):
            raise _corrupt(schedule, f"blackout {text!r}") from None
    return found


def _require_sound(schedule: Schedule) -> None:
    """Raise CorruptRow for a stored schedule whose terms nobody can read."""
    cron_of(schedule)
    _blackouts_of(schedule)
    if schedule.next_run_at is not None and schedule.next_for is None:
        raise _corrupt(schedule, "a run without the time that it is for")
    for name in ("deadline_seconds", "jitter_seconds"):
        if not math.isfinite(getattr(schedule, name)):
            raise _corrupt(schedule, f"{name} {getattr(schedule, name)}")


def _corrupt(schedule: Schedule, found: str) -> CorruptRow:
    hint = f"remove it and add it anew: pixmill schedule rm {schedule.name}"
    return CorruptRow(f"schedule {schedule.name!r} has {found}, which cannot be read", hint=hint)


def work_off(session: Session, schedule_id: int, at: datetime, outputs: str | None) -> int:
    """Decide on the first fifty times of one schedule that have come; gives how many jobs, or runs, were added."""
    schedule = lock_due(session, schedule_id, at)
    added = 0
    if schedule is not None:
        _require_sound(schedule)
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
                run.job_id = submit_run(session, schedule, due.logical, outputs).job_id
                run.outcome = RunOutcome.SUBMITTED
            return run
    except Overlapping as overlap:
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
    return next((text for text, window in _blackouts_of(schedule) if window.covers(local)), None)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _tell(schedule: Schedule, run: ScheduleRun) -> None:
    facts = {"action": "schedule", "schedule": schedule.name, "outcome": run.outcome.value, "job": run.job_id}
    level = logging.WARNING if run.outcome is RunOutcome.REFUSED else logging.INFO
    log.log(level, "schedule ran", extra={**facts, "reason": run.message})
