"""The tasks of one account in the order in which they start: in one line, and beside it a lane for each limited array.

A task whose array has a limit stands in a lane of that array (`Task.limited_by`). So a look for work passes over a full
array as a whole, however many of its tasks wait, and reads of the others only those that are next. What an array has
room for is counted, never kept: a job of it is active while any of its tasks runs, or is about to.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, distinct, exists, func, or_, select
from sqlalchemy.orm import Session

from db.corrupt import of_task, sound_rows
from db.dependencies import unfinished_parent
from db.statements import fetch
from db.tables.fleet import DeviceKind
from db.tables.jobs import Array, Task
from db.types import among, now
from pixmill.states import State

_BATCH = 5000  # ids in one statement; SQLite takes no more than 32,766 values

_tasks: Any = Task.__table__
_arrays: Any = Array.__table__


class Slot(NamedTuple):
    """A sort of worker: one that owns so many devices of a kind, and runs what needs no more."""

    kind: DeviceKind
    width: int = 1

    def takes(self, kind: DeviceKind | None, devices: int) -> bool:
        """Whether a task for devices of a kind, or of any, can run there."""
        return kind in {None, self.kind} and devices <= self.width


@dataclass(frozen=True, order=True)
class Ready:
    """A task that may start now."""

    rank: int
    task_id: int
    job_id: int
    limited_by: int | None = None  # an array whose limit it obeys


@dataclass(frozen=True)
class ArrayLoad:
    """How many jobs of an array run, or are about to, and may."""

    id: int
    size: int
    max_running: int | None
    active: int

    @property
    def is_full(self) -> bool:
        """Whether no other of its jobs may begin."""
        return self.max_running is not None and self.active >= self.max_running


@dataclass(frozen=True)
class _Lane:
    """The tasks of an account that wait in an array with a limit."""

    array_id: int
    room: int  # jobs that may begin
    goes_on: bool  # tasks wait whose job is active: those need no room
    head: int  # the smallest rank of all that wait


def next_of_account(session: Session, queue: str, user: str, slot: Slot, count: int, *, has_lanes: bool) -> list[Ready]:
    """The account's next `count` tasks that nothing holds back, best first; `has_lanes` as read of its share."""
    wanted = {"queue": queue, "user": user, "count": count, **slot._asdict()}
    found = _ready(session, _line_statement(), wanted)
    for lane in _lanes(session, queue, user) if has_lanes else ():
        if len(found) == count and found[-1].rank < lane.head:
            break
        found = sorted([*found, *_of_lane(session, lane, wanted)])[:count]
    return found


def _lanes(session: Session, queue: str, user: str) -> list[_Lane]:
    """The account's lanes in which anything may start, the one with the best head first."""
    rows = sound_rows(session, _lanes_statement(), {"queue": queue, "user": user})
    lanes = [_Lane(row.id, row.max_running - row.active, row.goes_on, row.head) for row in rows]
    return sorted((lane for lane in lanes if lane.room > 0 or lane.goes_on), key=lambda lane: lane.head)


def _of_lane(session: Session, lane: _Lane, wanted: dict[str, Any]) -> list[Ready]:
    """The lane's next tasks: those of active jobs, and those of as many others as there is room for."""
    which = {**wanted, "of_array": lane.array_id}
    going_on = set(_ready(session, _going_on_statement(), which)) if lane.goes_on else set()
    waiting = _ready(session, _lane_statement(), which) if lane.room > 0 else []
    active = {ready.job_id for ready in going_on}
    beginning = list(dict.fromkeys(ready.job_id for ready in waiting if ready.job_id not in active))[: lane.room]
    return [*going_on, *(ready for ready in waiting if ready.job_id in beginning)]


def _ready(session: Session, statement: Any, wanted: dict[str, Any]) -> list[Ready]:
    return [Ready(*row) for row in sound_rows(session, statement, wanted, of_task(session))]


_WAITING = (
    _tasks.c.state == State.PENDING,
    ~_tasks.c.blocked,
    _tasks.c.queue == bindparam("queue"),
    _tasks.c.user_name == bindparam("user"),
)


@cache
def _line_statement() -> "Select[Any]":
    return _next_tasks(*_WAITING, _tasks.c.limited_by.is_(None))


@cache
def _lane_statement() -> "Select[Any]":
    """Tasks of jobs that are not active."""
    sibling = _tasks.alias()
    active = exists().where(sibling.c.job_id == _tasks.c.job_id, is_active(sibling))
    return _next_tasks(*_WAITING, _tasks.c.limited_by == bindparam("of_array"), ~active)


@cache
def _going_on_statement() -> "Select[Any]":
    """Tasks of active jobs."""
    active = _tasks.alias()
    jobs = select(active.c.job_id).where(is_active(active), active.c.limited_by == bindparam("of_array"))
    return _next_tasks(_tasks.c.job_id.in_(jobs), _unindexed(*_WAITING))


def _next_tasks(*conditions: ColumnElement[bool]) -> "Select[Any]":
    return (
        select(_tasks.c.rank, _tasks.c.id, _tasks.c.job_id, _tasks.c.limited_by)
        .where(*conditions)
        .where(runs_on(bindparam("kind"), bindparam("width")))
        .where(or_(_tasks.c.available_at.is_(None), _tasks.c.available_at <= now()))
        .where(~unfinished_parent(of_few=True))
        # All have the same `limited_by`, but PostgreSQL would not see that the index is in this order.
        .order_by(_tasks.c.limited_by, _tasks.c.rank, _tasks.c.id)
        .limit(bindparam("count"))
    )


def runs_on(kind: Any, width: Any) -> ColumnElement[bool]:
    """SQL condition on tasks: a worker with so many devices of this kind can run it."""
    return and_(or_(_tasks.c.device_kind.is_(None), _tasks.c.device_kind == kind), _tasks.c.devices <= width)


def _unindexed(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """All conditions, for which no index is used: of few jobs the tasks are read, not all that waits."""
    return case((and_(*conditions), 1), else_=0) == 1


@cache
def _lanes_statement() -> "Select[Any]":
    """From array to array, one look into the index for each, however many tasks wait in them."""
    smallest = select(func.min(_tasks.c.limited_by).label("id"))
    walk = smallest.where(*_WAITING, _tasks.c.limited_by > 0).cte("walk", recursive=True)
    following = smallest.where(*_WAITING, _tasks.c.limited_by > walk.c.id).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.id.is_not(None)))
    head = select(func.min(_tasks.c.rank)).where(*_WAITING, _tasks.c.limited_by == _arrays.c.id)
    active = _tasks.alias()
    of_array = (is_active(active), active.c.limited_by == _arrays.c.id)
    count = select(func.count(distinct(active.c.job_id))).where(*of_array)
    going_on = select(_tasks.c.id).where(*of_array, _tasks.c.job_id == active.c.job_id, _unindexed(*_WAITING)).limit(1)
    return (
        select(
            _arrays.c.id,
            _arrays.c.max_running,
            count.scalar_subquery().label("active"),
            going_on.correlate(_arrays).scalar_subquery().is_not(None).label("goes_on"),
            head.scalar_subquery().label("head"),
        )
        .join(walk, walk.c.id == _arrays.c.id)
        .where(_arrays.c.max_running.is_not(None))
    )


def within_array_limits(session: Session, found: Sequence[Ready]) -> list[Ready]:
    """Those of the tasks, best first, that their arrays have room for; the arrays stay locked.

    The caller has locked the tasks' jobs. What was found before is asked again: others may have let jobs begin since.
    """
    limited = sorted({ready.limited_by for ready in found if ready.limited_by is not None})
    if not limited:
        return list(found)
    lock_arrays(session, limited)
    loads = array_loads(session, limited)
    active = {row.job_id for row in fetch(session, _active_statement(), {"array_ids": limited})}
    room = {array.id: array.max_running - array.active for array in loads.values() if array.max_running is not None}
    kept = []
    for ready in found:
        array_id = ready.limited_by
        if array_id in room and ready.job_id not in active:
            if room[array_id] <= 0:
                continue
            room[array_id] -= 1
            active.add(ready.job_id)
        kept.append(ready)
    return kept


def array_loads(session: Session, array_ids: Sequence[int]) -> dict[int, ArrayLoad]:
    """How these arrays stand, by id."""
    ids = sorted(set(array_ids))
    active = Counter(row.limited_by for row in fetch(session, _active_statement(), {"array_ids": ids})) if ids else {}
    found: dict[int, ArrayLoad] = {}
    for first in range(0, len(ids), _BATCH):
        rows = sound_rows(session, _limits_statement(), {"array_ids": ids[first : first + _BATCH]})
        found |= {row.id: ArrayLoad(row.id, row.size, row.max_running, active.get(row.id, 0)) for row in rows}
    return found


@cache
def _limits_statement() -> "Select[Any]":
    return select(_arrays.c.id, _arrays.c.size, _arrays.c.max_running).where(among(_arrays.c.id, "array_ids"))


def lock_arrays(session: Session, array_ids: Sequence[int]) -> None:
    """Lock rows of arrays, in the order of their ids; what runs of each is counted only then.

    Whoever lets a job of an array with a limit begin holds this lock: two at once would each find room for one more.
    It is taken behind those of jobs, and no job is waited for behind it.
    """
    fetch(session, _lock_statement(), {"array_ids": array_ids})


@cache
def _lock_statement() -> "Select[Any]":
    found = select(_arrays.c.id).where(among(_arrays.c.id, "array_ids")).order_by(_arrays.c.id)
    return found.with_for_update(key_share=True)


def is_active(tasks: Any) -> ColumnElement[bool]:
    """SQL condition on tasks: it runs, or is about to."""
    return or_(tasks.c.state == State.QUEUED, tasks.c.state == State.RUNNING)  # no IN: see db.statements


@cache
def _active_statement() -> "Select[Any]":
    active = select(_tasks.c.limited_by, _tasks.c.job_id).where(is_active(_tasks))
    return active.where(among(_tasks.c.limited_by, "array_ids")).distinct()


def full_array() -> ColumnElement[bool]:
    """SQL condition on tasks: its array has a limit, and runs as much as it may."""
    active = _tasks.alias()
    count = select(func.count(distinct(active.c.job_id))).where(is_active(active), active.c.limited_by == _arrays.c.id)
    full = select(_arrays.c.id).where(count.scalar_subquery() >= _arrays.c.max_running)
    return and_(_tasks.c.limited_by.is_not(None), _tasks.c.limited_by.in_(full))


@cache
def array_room(source: State) -> ColumnElement[bool]:
    """SQL condition on a task of job `of_job` and array `of_array`, to be claimed as it stands in `source`.

    A job that goes on needs no room. One that was called has its place among those that are active already; what is
    asked all the same is that no more run than may, whatever has become of the limit since. The array is locked.
    """
    active = _tasks.alias()
    counts = active.c.state == State.RUNNING if source is State.QUEUED else is_active(active)
    own = exists().where(active.c.job_id == bindparam("of_job"), counts)
    others = select(func.count(distinct(active.c.job_id))).where(active.c.limited_by == bindparam("of_array"), counts)
    limit = select(_arrays.c.max_running).where(_arrays.c.id == bindparam("of_array")).scalar_subquery()
    return or_(own, limit.is_(None), others.scalar_subquery() < limit)
