"""What a job consists of and what happened to it; of very many rows the first and the last, which a screen shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Event, Role, Task

Item = TypeVar("Item")
AttemptRow = tuple[Attempt, Task, Worker]
EventRow = tuple[Event, int | None]  # with the number of its task


@dataclass(frozen=True)
class Ends(Generic[Item]):
    """Rows in their order: all of them, or the first and the last ones."""

    first: Sequence[Item]
    last: Sequence[Item]  # none where `first` has them all
    count: int  # of all

    @property
    def left_out(self) -> int:
        """How many rows between the two are not here."""
        return self.count - len(self.first) - len(self.last)


@dataclass(frozen=True)
class TaskSums:
    """What has gone wrong with the tasks of a job, and what they may still try."""

    tasks: int
    failures: int
    lost_leases: int
    preemptions: int
    excused: int  # failures and lost leases that an operator's retry has forgiven
    most_used: int  # retries, by the task that failed most
    retries: int
    time_limit_seconds: float | None


def at_each_end(count: int, most: int | None) -> int | None:
    """How many of so many rows are shown at each end, if at most so many are; None: all of them.

    >>> at_each_end(100, 10), at_each_end(11, 10), at_each_end(100, None)
    (5, None, None)
    """
    # A line that says that one row is left out is no shorter than the row.
    return None if most is None or count <= most + 1 else most // 2


def task_ends(session: Session, job_id: int, most: int | None) -> Ends[Task]:
    """The job's tasks by number; at most so many, or one more."""
    statement = select(Task).where(Task.job_id == job_id)
    return _ends(session, statement, Task.number, most, lambda row: row[0])


def attempt_ends(session: Session, job_id: int, most: int | None) -> Ends[AttemptRow]:
    """Attempts of the job's tasks, in order of time."""
    statement = (
        select(Attempt, Task, Worker)
        .join(Task, Task.id == Attempt.task_id)
        .join(Worker, Worker.id == Attempt.worker_id)
        .where(Task.job_id == job_id)
    )
    return _ends(session, statement, Attempt.id, most, lambda row: (row[0], row[1], row[2]))


def event_ends(session: Session, job_id: int, most: int | None) -> Ends[EventRow]:
    """The job's events, oldest first."""
    statement = select(Event, Task.number).outerjoin(Task, Task.id == Event.task_id).where(Event.job_id == job_id)
    return _ends(session, statement, Event.id, most, lambda row: (row[0], row[1]))


def task_sums(session: Session, job_id: int) -> TaskSums:
    """Counters over all tasks of a job."""
    excused, used = Task.excused_failures + Task.excused_lost_leases, Task.failures - Task.excused_failures
    statement = select(
        func.count(),
        func.sum(Task.failures),
        func.sum(Task.lost_leases),
        func.sum(Task.preemptions),
        func.sum(excused),
        func.max(used),
        func.max(Task.retries),
        func.max(Task.time_limit_seconds),
    )
    row: Sequence[Any] = session.execute(statement.where(Task.job_id == job_id)).one()
    tasks, failures, lost_leases, preemptions, forgiven, most_used, retries = (int(number or 0) for number in row[:7])
    return TaskSums(tasks, failures, lost_leases, preemptions, forgiven, most_used, retries, row[7])


def own_results(session: Session, job_id: int) -> Sequence[Mapping[str, Any]]:
    """Results of the job's tasks by number; not of those that make images, which add up to that of the last one."""
    statement = select(Task.result).where(Task.job_id == job_id, Task.role != Role.GENERATE).order_by(Task.number)
    return [result or {} for result in session.scalars(statement)]


def _ends(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    key: InstrumentedAttribute[int],
    most: int | None,
    item: Callable[[Row[*tuple[Any, ...]]], Item],
) -> Ends[Item]:
    keys = statement.with_only_columns(key)
    count = session.scalars(select(func.count()).select_from(keys.subquery())).one()
    half = at_each_end(count, most)

    def rows(chosen: Select[*tuple[Any, ...]]) -> list[Item]:
        return [item(row) for row in session.execute(chosen.order_by(key))]

    if half is None:
        return Ends(rows(statement), (), count)
    # By their keys, which an index has: PostgreSQL would read and join all the rows first, and then drop most of them.
    first = session.scalars(keys.order_by(key).limit(half)).all()
    last = session.scalars(keys.order_by(key.desc()).limit(half)).all()
    return Ends(rows(statement.where(key.in_(first))), rows(statement.where(key.in_(last))), count)
