"""Jobs of an array that wait and have never run are alike: in a list for people the first stands for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from db.tables.jobs import Job
from pixmill.states import State

_WAITS = (State.PENDING, State.HELD)
_INDEX: Any = Job.array_index  # never NULL in an array
_IS_ALIKE = and_(Job.array_id.is_not(None), Job.state.in_(_WAITS), Job.started_at.is_(None))


def stands(whole: Select[Job]) -> ColumnElement[bool]:
    """SQL condition on jobs: it stands for itself alone, or for all those of `whole` that are like it."""
    return or_(~_IS_ALIKE, Job.id.in_(_alike(whole).with_only_columns(func.min(Job.id))))


def stood_for(session: Session, whole: Select[Job], jobs: Iterable[Job]) -> dict[int, tuple[int, ...]]:
    """Those of the jobs that stand for several of `whole` → the indices of all, its own included."""
    arrays = sorted({job.array_id for job in jobs if _is_alike(job) and job.array_id is not None})
    if not arrays:
        return {}
    of_arrays = _alike(whole.where(Job.array_id.in_(arrays)))
    numbers = (func.min(Job.id), func.count(), func.min(_INDEX), func.max(_INDEX))
    grouped = session.execute(of_arrays.with_only_columns(Job.array_id, Job.state, *numbers)).all()
    gapless = {first: range(least, most + 1) for *_, first, count, least, most in grouped if most - least + 1 == count}
    missing = {(array_id, state): first for array_id, state, first, *_ in grouped if first not in gapless}
    found = {**gapless, **_listed(session, whole, missing)}
    return {first: tuple(indices) for first, indices in found.items() if len(indices) > 1}


def standing_for(session: Session, job_ids: Sequence[int]) -> list[int]:
    """The jobs that stand for these, each once, in the same order."""
    firsts = _alike(select(Job)).with_only_columns(Job.array_id, Job.state, func.min(Job.id).label("first")).subquery()
    same = and_(firsts.c.array_id == Job.array_id, firsts.c.state == Job.state)
    found = select(Job.id, firsts.c.first).join(firsts, same).where(_IS_ALIKE, Job.id.in_(job_ids))
    first: dict[int, int] = dict(iter(session.execute(found)))
    return list(dict.fromkeys(first.get(job_id, job_id) for job_id in job_ids))


def _is_alike(job: Job) -> bool:
    return job.state in _WAITS and job.started_at is None


def _alike(whole: Select[Job]) -> Select[Job]:
    """By array and state."""
    return whole.where(_IS_ALIKE).group_by(Job.array_id, Job.state)


def _listed(
    session: Session, whole: Select[Job], firsts: Mapping[tuple[int | None, State], int]
) -> dict[int, list[int]]:
    """Job → indices, where there are gaps between these."""
    if not firsts:
        return {}
    arrays = {array_id for array_id, _state in firsts}
    chosen = whole.where(_IS_ALIKE, Job.array_id.in_(arrays)).order_by(_INDEX)
    found: dict[int, list[int]] = {first: [] for first in firsts.values()}
    for array_id, state, index in session.execute(chosen.with_only_columns(Job.array_id, Job.state, _INDEX)):
        if (array_id, state) in firsts:
            found[firsts[array_id, state]].append(index)
    return found
