"""Counts that only grow: kept beside the rows that they count, and brought up to date now and then.

What ends a task or a job leaves an event in the same transaction, so nothing else has to be written at that moment.
Whoever keeps the book reads the events that are new, adds them up, and writes sums and how far it has read in one
transaction that is lost unless nobody else has read as far. So every event counts once, however many keep the book, and
a look at the sums costs the same however many jobs there were.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Numeric, String, func, select, text, type_coerce, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from db.engine import Database, insert_absent
from db.notifications import GIVEN_UP
from db.outputs import FILE_ROLES
from db.tables.jobs import Event, Job, Outcome, Role, Task
from db.tables.schedules import Schedule, ScheduleRun
from db.tables.told import Total
from pixmill.schedules import RunOutcome
from pixmill.states import TERMINAL, FailureReason, State

BATCH = 4_000  # rows that are read at once; of more, PostgreSQL would read all of `tasks` to look up theirs
IMAGE_ROLES = (Role.GENERATE, *FILE_ROLES)  # of tasks that write images
OTHER = "other"
LONGEST_LABELS = 400  # letters
_MARK = "counted_to"  # of `totals`: the id up to which the rows of a table are counted
_COMPLETE = "complete"  # of `totals`: there once all that there was has been counted
_LOST = "expire"  # what the scheduler does to a task whose worker went silent; a worker that can says "lost"

Key = tuple[str, str]  # name, and labels as they are stored


@dataclass(frozen=True)
class Horizon:
    """How far the rows of a table go at some moment, and when all of these are sure to be seen."""

    last_id: int
    transaction: int  # once all before this one have ended; 0: at once


@dataclass(frozen=True)
class Source:
    """A table whose new rows are counted."""

    name: str
    table: type[Event] | type[ScheduleRun]
    count: Callable[[Session, int, int], "Counter[Key]"]  # what rows with an id above the first, up to the second, say


@dataclass(frozen=True)
class Sum:
    """One count."""

    labels: Mapping[str, str]
    value: int


def key(name: str, **labels: str) -> Key:
    """What a count is stored under.

    >>> key("jobs_ended", state="failed", kind="train")
    ('jobs_ended', '{"kind": "train", "state": "failed"}')
    """
    text = json.dumps(labels, sort_keys=True)
    if len(text) > LONGEST_LABELS:  # of a name that nobody could give
        text = json.dumps(dict.fromkeys(labels, OTHER), sort_keys=True)
    return name, text


def read_totals(session: Session) -> dict[str, list[Sum]]:
    """All counts, by name."""
    found: dict[str, list[Sum]] = {}
    for name, labels, value in session.execute(select(Total.name, Total.labels, Total.value).order_by(Total.labels)):
        found.setdefault(name, []).append(Sum(json.loads(labels), value))
    return found


def is_complete(session: Session) -> bool:
    """Whether the counts have ever been up to date: until then they grow by what happened long ago."""
    return session.scalar(select(Total.value).where(Total.name == _COMPLETE)) is not None


def set_complete(session: Session) -> None:
    """Say that the counts are up to date."""
    name, labels = key(_COMPLETE)
    insert_absent(session, Total, {"name": name, "labels": labels, "value": 1})


def horizon(session: Session, source: Source) -> Horizon:
    """How far the table goes now.

    On PostgreSQL a row may have a smaller id than one that is seen, and come to be seen later: when its transaction,
    which has begun already, ends. SQLite has one writer at a time.
    """
    last = session.scalar(select(func.max(source.table.id))) or 0
    if session.get_bind().dialect.name == "sqlite":
        return Horizon(last, 0)
    return Horizon(last, int(session.execute(text("SELECT txid_snapshot_xmax(txid_current_snapshot())")).scalar_one()))


def is_settled(session: Session, seen: Horizon) -> bool:
    """Whether every row up to that horizon can be seen that ever will be."""
    if seen.transaction == 0:
        return True
    oldest = session.execute(text("SELECT txid_snapshot_xmin(txid_current_snapshot())")).scalar_one()
    return int(oldest) >= seen.transaction


def count_up_to(database: Database, source: Source, seen: Horizon) -> int:
    """Count the rows up to a horizon that has settled, a batch at a time; gives how many ids it went on by.

    Whoever else does the same at the same time counts what this one does not.  Raises DatabaseUnreachable.
    """
    began = done = database.consult(lambda session: _mark(session, source))
    while done < seen.last_id:
        to = min(done + BATCH, seen.last_id)
        counted = database.consult(lambda session, done=done, to=to: source.count(session, done, to))  # type: ignore[misc]
        if not database.transact(lambda session, done=done, to=to, new=counted: _add(session, source, done, to, new)):  # type: ignore[misc]
            break
        done = to
    return done - began


def _mark(session: Session, source: Source) -> int:
    return session.scalar(select(Total.value).where(*_is_mark(source))) or 0


def _is_mark(source: Source) -> tuple[Any, ...]:
    name, labels = key(_MARK, table=source.name)
    return Total.name == name, Total.labels == labels


def _add(session: Session, source: Source, done: int, to: int, counted: "Counter[Key]") -> bool:
    """Add what was counted; False if others have counted it meanwhile."""
    name, labels = key(_MARK, table=source.name)
    if done == 0:
        insert_absent(session, Total, {"name": name, "labels": labels, "value": 0})
    moved = update(Total).where(*_is_mark(source), Total.value == done).values(value=to).returning(Total.value)
    if session.scalar(moved) is None:
        return False
    if counted:
        make_insert: Any = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
        rows = [{"name": each[0], "labels": each[1], "value": count} for each, count in sorted(counted.items())]
        added = make_insert(Total)
        more = {"value": Total.value + added.excluded.value}
        session.execute(added.on_conflict_do_update(index_elements=["name", "labels"], set_=more), rows)
    return True


def _count_events(session: Session, after: int, to: int) -> "Counter[Key]":
    within = (Event.id > after, Event.id <= to)
    return _of_tasks(session, within) + _of_jobs(session, within) + _of_others(session, within)


def _of_tasks(session: Session, within: tuple[Any, ...]) -> "Counter[Key]":
    found: Counter[Key] = Counter()
    columns = (_in_words(Task.role), Event.action, Event.from_state, Event.to_state)
    images = type_coerce(func.sum(Task.progress_done), Numeric)
    statement: Any = select(*columns, func.count(), images).join(Task, Task.id == Event.task_id)
    for word, action, source, target, count, images in session.execute(statement.where(*within).group_by(*columns)):
        role = word if word in {*Role} else OTHER
        if target == State.RUNNING:
            found[key("attempts_started", role=role)] += count
        elif source == State.RUNNING:
            found[key("attempts_ended", role=role, outcome=_outcome(action))] += count
            if target == State.SUCCEEDED and role in IMAGE_ROLES:  # which a task does once
                found[key("images_written", role=role)] += int(images)
    return found


def _in_words(column: Any) -> Any:
    """A column of words as it is: one that is none counts as another one, and keeps no other from being counted."""
    return type_coerce(column, String)


def _outcome(action: str) -> str:
    """How an attempt ended, by what its event says."""
    if action == _LOST:
        return Outcome.LOST.value
    return action if action in {*Outcome} else OTHER


def _of_jobs(session: Session, within: tuple[Any, ...]) -> "Counter[Key]":
    found: Counter[Key] = Counter()
    columns = (Job.kind, Event.action, Event.to_state, Job.reason)
    statement: Any = select(*columns, func.count()).join(Job, Job.id == Event.job_id)
    of_jobs = (*within, Event.task_id.is_(None), Event.to_state.is_not(None))
    for kind, action, target, reason, count in session.execute(statement.where(*of_jobs).group_by(*columns)):
        if action == "submit":
            found[key("jobs_submitted", kind=kind)] += count
        elif target in TERMINAL:
            found[key("jobs_ended", kind=kind, state=target, reason=_reason(target, reason))] += count
    return found


def _reason(target: str, reason: str | None) -> str:
    """Why a job ended so; one that was tried again before it was counted does not know any more."""
    if target != State.FAILED:
        return ""
    return reason if reason is not None and reason in {*FailureReason} else OTHER


def _of_others(session: Session, within: tuple[Any, ...]) -> "Counter[Key]":
    given_up = select(func.count()).select_from(Event).where(*within, Event.action == GIVEN_UP)
    count = session.execute(given_up).scalar_one()
    return Counter({key("notifications_given_up"): count} if count else {})


def _count_runs(session: Session, after: int, to: int) -> "Counter[Key]":
    columns = (Schedule.name, _in_words(ScheduleRun.outcome))
    statement: Any = select(*columns, func.count()).join(Schedule, Schedule.id == ScheduleRun.schedule_id)
    within = (ScheduleRun.id > after, ScheduleRun.id <= to)
    rows = session.execute(statement.where(*within).group_by(*columns))
    found: Counter[Key] = Counter()
    for name, word, count in rows:
        found[key("schedule_runs", schedule=name, outcome=word if word in {*RunOutcome} else OTHER)] += count
    return found


SOURCES = (Source("events", Event, _count_events), Source("schedule_runs", ScheduleRun, _count_runs))
