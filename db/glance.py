"""What a view of everything needs beside the lists: which jobs wait first, and what has happened last."""

from collections.abc import Sequence
from itertools import chain, zip_longest

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from db.alike import standing_for, stands
from db.lanes import Slot
from db.order import ready_tasks
from db.tables.fleet import DeviceKind
from db.tables.jobs import Event, Job, Task
from db.workers import present_slots
from pixmill.states import State

WAITING = (State.PENDING, State.QUEUED, State.HELD)
_ANY_WIDTH = 2**31 - 1


def first_waiting(session: Session, count: int, *, collapses: bool = False) -> list[int]:
    """Ids of at most `count` jobs of which nothing runs, in the order in which they are likely to start.

    First those that were sent to a worker, then what the scheduler would start next, by its own order, and then what
    somebody or something holds back, by the rank of its first task. With `collapses` one job stands for all of its
    array that wait as it does, at the place of the first of them.
    """
    sent = session.scalars(_waiting(State.QUEUED).limit(count))
    next_ones = _next_jobs(session, count)
    next_ones = standing_for(session, next_ones) if collapses else next_ones
    startable = set(session.scalars(_waiting(*WAITING).where(Job.id.in_(next_ones))))
    found = dict.fromkeys([*sent, *(job_id for job_id in next_ones if job_id in startable)])
    if len(found) < count:
        held_back = _waiting(*WAITING).where(stands(select(Job))) if collapses else _waiting(*WAITING)
        found |= dict.fromkeys(session.scalars(held_back.limit(count)))
    return list(found)[:count]


def _waiting(*states: State) -> Select[int]:
    # One task for each job: a job may have very many, and a group of them all would take long.
    first_task = (Task.job_id == Job.id) & (Task.number == 0)
    return select(Job.id).join(Task, first_task).where(Job.state.in_(states)).order_by(Task.rank, Job.id)


def _next_jobs(session: Session, count: int) -> list[int]:
    """Jobs by the order of their next tasks; sorts of workers take turns."""
    slots = sorted(present_slots(session)) or [Slot(kind, _ANY_WIDTH) for kind in DeviceKind]
    lanes = [[task.job_id for task in ready_tasks(session, slot, count)] for slot in slots]
    turns = chain.from_iterable(zip_longest(*lanes))
    return list(dict.fromkeys(job_id for job_id in turns if job_id is not None))


def last_events(session: Session, count: int) -> Sequence[Event]:
    """The last `count` events of all jobs, the newest first."""
    return session.scalars(select(Event).order_by(Event.id.desc()).limit(count)).all()
