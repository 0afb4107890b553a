"""How quickly jobs make their images, told from the rows of their tasks and shards."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session

from db.tables.jobs import Job, Role, Task
from db.types import now
from pixmill.states import State

WINDOW = timedelta(seconds=60)

TaskRow = Row[tuple[int, dict[str, Any], State, datetime, int]]


@dataclass(frozen=True)
class Stretch:
    """Images that were made one after the other, evenly, as far as anybody knows."""

    began: datetime
    ended: datetime
    images: int

    def since(self, moment: datetime) -> float:
        """How many of them were made after that moment."""
        if moment <= self.began:
            return self.images
        return self.images * ((self.ended - moment) / (self.ended - self.began)) if moment < self.ended else 0.0


def image_rate(session: Session, job: Job) -> float | None:
    """Images a second of a job that makes a data set, over all of its tasks; None: none, or none that is known.

    Of one that runs, over the last minute, waiting included: what was published in it, and what its tasks have made
    since. Of one that has succeeded, from its start to its end.
    """
    if job.started_at is None:
        return None
    if job.state is State.SUCCEEDED and job.finished_at is not None:
        return _rate(job.progress_total, job.finished_at - job.started_at)
    if job.state is not State.RUNNING:
        return None
    at = session.scalars(select(now())).one()
    since = max(job.started_at, at - WINDOW)
    made = sum(stretch.since(since) for stretch in _stretches(session, job.id, since, at))
    return _rate(made, at - since)


def _rate(images: float, span: timedelta) -> float | None:
    return images / span.total_seconds() if images and span > timedelta(0) else None


def _stretches(session: Session, job_id: int, since: datetime, at: datetime) -> Iterator[Stretch]:
    """What each task has made since then, from one published shard to the next, and from the last one until now."""
    tasks = _tasks_since(session, job_id, since)
    published = _shards_of(session, job_id, tasks) if tasks else {}
    for task in tasks:
        began, count = task.started_at, 0
        for created_at, images in published.get(task.id, ()):
            count += images
            if created_at > began:  # by this attempt
                yield Stretch(began, created_at, images)
                began = created_at
        if task.state is State.RUNNING and task.progress_done > count:
            yield Stretch(began, at, task.progress_done - count)


def _tasks_since(session: Session, job_id: int, since: datetime) -> Sequence[TaskRow]:
    """Tasks that make images, and have begun and not ended before that moment."""
    columns = (Task.id, Task.params, Task.state, Task.started_at, Task.progress_done)
    begun = (Task.job_id == job_id, Task.role == Role.GENERATE, Task.started_at.is_not(None))
    statement = select(*columns).where(*begun, or_(Task.finished_at.is_(None), Task.finished_at > since))
    rows: Any = session.execute(statement).all()  # of those that have begun `started_at` is known
    found: Sequence[TaskRow] = rows
    return found


def _shards_of(session: Session, job_id: int, tasks: Sequence[TaskRow]) -> dict[int, list[tuple[datetime, int]]]:
    """(when it was published, its images) of the shards of tasks, in order of time.

    Asked for by the range of their numbers: neighbours run together, and a job may have very many.
    """
    from db.tables.published import Shard

    statement = select(Shard.task_id, Shard.created_at, Shard.image_count).where(Shard.job_id == job_id)
    if all("shards" in task.params for task in tasks):  # of a restore job nobody knew how many there would be
        firsts = [task.params["first_shard"] for task in tasks]
        end = max(task.params["first_shard"] + task.params["shards"] for task in tasks)
        statement = statement.where(Shard.number >= min(firsts), Shard.number < end)
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for task_id, created_at, images in session.execute(statement.order_by(Shard.created_at)):
        found[task_id].append((created_at, images))
    return found
