"""What operators do to schedules: add one, run one now, and let one go on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy.orm import Session

from db.engine import Database, insert_absent
from db.moves import add_event
from db.schedules import add_run, get_schedule, resume_schedule
from db.tables.schedules import Schedule, ScheduleRun
from db.workers import database_time
from pixmill.errors import Conflict, SpecError, UserError
from pixmill.names import NAME_PATTERN
from pixmill.schedules import Catchup, Overlap, RunOutcome
from pixmill.specs import JobOptions, Spec
from scheduler.blackouts import parse_blackout
from scheduler.cron import Cron
from scheduler.scheduled import Started, check_document, submit_run
from scheduler.schedules import Clock, cron_of, next_due, work_off
from scheduler.submit import check_request

PUNCTUAL_SECONDS = 60.0  # a run that begins so late is not a missed one
USUAL_DEADLINE_SECONDS = 12 * 3600.0
MOST_JITTER_SECONDS = 86_400.0
MOST_DEADLINE_SECONDS = 366 * 86_400.0
LOOKED_AT = 50  # times that must be further apart than the jitter

# What made one job wait belongs to that job, and its key too.
_OF_ONE_JOB = ("key", "after", "after_policy", "begin")


@dataclass(frozen=True, kw_only=True)
class NewSchedule:
    """A checked schedule to be added."""

    name: str
    cron: Cron
    document: Mapping[str, Any]
    overlap: Overlap
    catchup: Catchup
    deadline_seconds: float
    jitter_seconds: float
    blackouts: tuple[str, ...]
    user_name: str

    @property
    def columns(self) -> dict[str, Any]:
        """What decides whether two schedules are the same."""
        return {
            "cron": self.cron.expression,
            "zone": self.cron.zone.key,
            "document": dict(self.document),
            "overlap": self.overlap,
            "catchup": self.catchup,
            "deadline_seconds": self.deadline_seconds,
            "jitter_seconds": self.jitter_seconds,
            "blackouts": list(self.blackouts),
        }


def document_of(spec: Spec, options: JobOptions, name: str | None) -> dict[str, Any]:
    """What a schedule keeps of a job; `name` may hold {date}, and paths become absolute.

    Raises SpecError for what only one job can have, and as `scheduler.submit.check_request`.
    """
    given = options.model_dump(mode="json", exclude_defaults=True)
    for key in _OF_ONE_JOB:
        if key in given:
            raise SpecError(f"'{key}' is for one job, not for all jobs of a schedule", hint="leave it out")
    checked = check_request(spec).model_dump(mode="json", exclude_none=True)
    return {**checked, **given, **({"name": name} if name else {})}


def make_schedule(
    *, overlap: Overlap | None, catchup: Catchup, deadline_seconds: float | None, **given: Any
) -> NewSchedule:
    """A schedule whose terms fit each other; what is left open gets its usual value.

    Raises UserError that names the terms which do not.
    """
    if catchup is Catchup.ALL and overlap not in (None, Overlap.QUEUE):
        raise UserError(
            f"--catchup all and --overlap {overlap}: of runs that are made up for, all but one would be lost",
            hint="--overlap queue lets them run one after the other",
        )
    if catchup is Catchup.NONE and deadline_seconds is not None:
        raise UserError(
            f"--deadline with --catchup none: a run begins within {PUNCTUAL_SECONDS:.0f} seconds or not at all",
            hint="leave out --deadline, or choose --catchup latest",
        )
    if not re.fullmatch(NAME_PATTERN, given["name"]):
        hint = "use letters, digits, dots, dashes and underscores, at most 100"
        raise UserError(f"{given['name']!r} is no name of a schedule", hint=hint)
    usual = PUNCTUAL_SECONDS if catchup is Catchup.NONE else USUAL_DEADLINE_SECONDS
    usual_overlap = Overlap.QUEUE if catchup is Catchup.ALL else Overlap.SKIP
    deadline = usual if deadline_seconds is None else deadline_seconds
    _require_span("--deadline", deadline, PUNCTUAL_SECONDS, MOST_DEADLINE_SECONDS)
    _require_span("--jitter", given["jitter_seconds"], 0.0, MOST_JITTER_SECONDS)
    _require_order(given["cron"], given["jitter_seconds"])
    for text in given["blackouts"]:
        parse_blackout(text)
    return NewSchedule(overlap=overlap or usual_overlap, catchup=catchup, deadline_seconds=deadline, **given)


def _require_span(option: str, seconds: float, least: float, most: float) -> None:
    if not least <= seconds <= most:
        allowed = f"from {least:.0f} s to {most / 86_400:g} days"
        raise UserError(f"{option} is {seconds:g} s; it may be {allowed}", hint="write it like 90s, 10m, 2h or 1d")


def _require_order(cron: Cron, jitter_seconds: float) -> None:
    """Raise UserError if a run could begin after the next one, which would pass for one that was missed."""
    times = [time.astimezone(UTC) for time in cron.following(datetime.now(UTC), LOOKED_AT)]
    shortest = min((later - earlier for earlier, later in pairwise(times)), default=None)
    if shortest is not None and jitter_seconds >= shortest.total_seconds():
        raise UserError(
            f"--jitter is {jitter_seconds:g} s, and cron {cron.expression!r} has times that are {shortest} apart",
            hint=f"choose less than {shortest.total_seconds():g}s",
        )


def add_schedule(session: Session, new: NewSchedule, at: datetime, *, outputs: str | None) -> bool:
    """Remember a schedule; its first time is the next one after `at`.  False if there was the same before.

    `outputs` is the setting storage.outputs. Raises Conflict when there is another one of that name, and whatever a
    submit of its job would raise now.
    """
    due = next_due(new.cron, new.name, new.jitter_seconds, at)
    assert due is not None, "a cron expression was read that never comes"
    check_document(session, new.document, new.name, due.logical, user=new.user_name, outputs=outputs)
    own = {"name": new.name, "user_name": new.user_name, "added_at": at}
    times = {"next_for": due.logical, "next_run_at": due.begins}
    is_new = insert_absent(session, Schedule, {**own, **times, **new.columns})
    if is_new:
        told = f"{new.name}: {new.cron.expression} {new.cron.zone.key}"
        add_event(session, actor=new.user_name, action="add_schedule", detail=told)
    _require_same(get_schedule(session, new.name), new)
    return is_new


def _require_same(present: Schedule, new: NewSchedule) -> None:
    differences = [key for key, value in new.columns.items() if getattr(present, key) != value]
    if differences:
        raise Conflict(
            f"there is another schedule {new.name!r}: {', '.join(differences)} differ",
            hint=f"choose another name, or remove that one: pixmill schedule rm {new.name}",
        )


def run_now(session: Session, name: str, at: datetime, *, actor: str, outputs: str | None) -> Started:
    """Submit what a schedule asks for at once, outside of its plan.

    `outputs` is the setting storage.outputs. Raises NotFound, Conflict when earlier runs forbid it, or as
    `scheduler.submit.submit`.
    """
    schedule = get_schedule(session, name, locked=True)
    # Planned times have whole seconds: this one is never one of them.
    moment = at if at.microsecond else at + timedelta(milliseconds=1)
    started = submit_run(session, schedule, cron_of(schedule).local(moment), outputs)
    run = ScheduleRun(schedule_id=schedule.id, scheduled_for=moment, by_hand=actor, decided_at=at)
    run.outcome, run.job_id = RunOutcome.SUBMITTED, started.job_id
    add_run(session, schedule, run)
    add_event(session, actor=actor, action="run_schedule", detail=name, job_id=started.job_id)
    return started


def resume(
    database: Database,
    name: str,
    *,
    actor: str,
    why: str | None = None,
    outputs: str | None,
    clock: Clock = database_time,
) -> bool:
    """Go on by the plan; False if it was not paused.  Raises NotFound.

    Times that have passed during the pause without a scheduler become rows first, like all others of it.
    """

    def act(session: Session) -> bool | None:
        schedule, at = get_schedule(session, name, locked=True), clock(session)
        if schedule.paused:
            work_off(session, schedule.id, at, outputs)
            if schedule.next_run_at is not None and schedule.next_run_at <= at:
                return None  # there are more: no transaction shall keep others waiting for long
        return resume_schedule(session, name, actor=actor, why=why)

    while (changed := database.transact(act)) is None:
        pass
    return changed
