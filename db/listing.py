"""Jobs as `ps` lists them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, column, exists, select, table
from sqlalchemy.orm import Session

from db import linefacts
from db.alike import stands, stood_for
from db.corrupt import corrupt_rows
from db.finding import LARGEST_ID, get_job
from db.periods import ALWAYS, Period
from db.progress import image_rate
from db.tables.jobs import Job
from pixmill.errors import CorruptRow
from pixmill.kinds import DATASET_MAKERS
from pixmill.states import ACTIVE, TERMINAL, State

if TYPE_CHECKING:
    from db.pipelines import Place

_STEPS = table("pipeline_steps", column("job_id"))
_BATCH = 5000  # jobs asked about in one statement; SQLite takes no more than 32,766 values


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to list; empty means no restriction."""

    states: tuple[State, ...] = ()
    kinds: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    ids: tuple[int, ...] = ()
    queues: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    arrays: tuple[int, ...] = ()
    collapses: bool = False  # one line stands for what waits of an array
    before: int | None = None  # only ids below this one: the next page of a list that goes backwards
    submitted: Period = ALWAYS
    ended: Period = ALWAYS


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One job with what its tasks add up to."""

    job: Job
    done: int  # images
    tasks: int
    tasks_done: int
    devices: tuple[str, ...]  # where it runs at present
    progress: Mapping[str, Any]  # of its running task, the last if several run
    rate: float | None  # images a second, of all its tasks together
    spent: Mapping[str, float]  # seconds of its tasks by stage, of a job that makes a data set
    waits_for: tuple[int, ...]  # unfinished jobs
    place: "Place | None"  # in a pipeline
    alike: tuple[int, ...] = ()  # indices of the jobs of its array that this line stands for, if it does


def list_jobs(session: Session, chosen: JobFilter, limit: int | None, recent: int | None = None) -> list[JobLine]:
    """Jobs by id, oldest first: the newest `limit`; with `recent`, all unfinished ones and that many finished."""
    statement, whole = _filtered(chosen), _filtered(replace(chosen, before=None))
    if chosen.collapses:  # whatever page it is
        statement = statement.where(stands(whole))
    if recent is not None:
        ended = _filtered(chosen).where(Job.state.in_(TERMINAL)).order_by(Job.id.desc()).limit(recent)
        recent_ids = ended.with_only_columns(Job.id)
        statement = statement.where(Job.state.in_(ACTIVE) | Job.id.in_(recent_ids))
    jobs = _jobs(session, statement.order_by(Job.id.desc()), limit)
    lines = _lines(session, jobs[::-1])
    return _with_alike(session, whole, lines) if chosen.collapses else lines


def waiting_lines(session: Session, job_ids: Sequence[int]) -> list[JobLine]:
    """As `job_lines`; of jobs that stand for all of an array that wait as they do, with the indices of these."""
    return _with_alike(session, select(Job), job_lines(session, job_ids))


def _with_alike(session: Session, whole: Select[Job], lines: Sequence[JobLine]) -> list[JobLine]:
    alike = stood_for(session, whole, [line.job for line in lines])
    return [replace(line, alike=alike.get(line.job.id, ())) for line in lines]


def next_jobs(session: Session, chosen: JobFilter, after: int, limit: int) -> list[JobLine]:
    """The first `limit` jobs with an id above `after`, by id."""
    statement = _filtered(chosen).where(Job.id > after).order_by(Job.id)
    return _lines(session, _jobs(session, statement, limit))


def job_line(session: Session, job_id: int) -> JobLine:
    """One job as `ps` shows it.  Raises NotFound."""
    return _lines(session, [get_job(session, job_id)])[0]


def job_lines(session: Session, job_ids: Sequence[int]) -> list[JobLine]:
    """These jobs as `ps` shows them, in the same order.  Raises NotFound."""
    known = [job_id for job_id in job_ids if job_id <= LARGEST_ID]
    batches = (known[first : first + _BATCH] for first in range(0, len(known), _BATCH))
    found = {job.id: job for ids in batches for job in session.scalars(select(Job).where(Job.id.in_(ids)))}
    return _lines(session, [found.get(job_id) or get_job(session, job_id) for job_id in job_ids])


@dataclass(frozen=True)
class JobHead:
    """What tells one job from another."""

    id: int
    name: str
    state: State


def chosen_jobs(session: Session, chosen: JobFilter) -> list[JobHead]:
    """All jobs that the filter lets through, by id."""
    columns = _filtered(chosen).with_only_columns(Job.id, Job.name, Job.state).order_by(Job.id)
    return [JobHead(*row) for row in session.execute(columns)]


def _filtered(chosen: JobFilter) -> Select[Job]:
    statement = select(Job).where(*chosen.submitted.bounds(Job.submitted_at), *chosen.ended.bounds(Job.finished_at))
    if chosen.states:
        statement = statement.where(Job.state.in_(chosen.states))
    if chosen.kinds:
        statement = statement.where(Job.kind.in_(chosen.kinds))
    if chosen.ids:
        statement = statement.where(Job.id.in_(chosen.ids))
    if chosen.queues:
        statement = statement.where(Job.queue.in_(chosen.queues))
    if chosen.users:
        statement = statement.where(Job.user_name.in_(chosen.users))
    if chosen.arrays:
        statement = statement.where(Job.array_id.in_(chosen.arrays))
    if chosen.before is not None:
        statement = statement.where(Job.id < chosen.before)
    for key, value in (chosen.labels or {}).items():
        statement = statement.where(Job.labels[key].as_string() == value)
    return statement


def _jobs(session: Session, statement: Select[Job], limit: int | None) -> list[Job]:
    """The first that a statement finds; a row that cannot be read is told of, and the next one takes its place.

    So there are fewer than `limit` only where there are no more: whoever reads page by page would stop there.
    """
    try:
        return list(session.scalars(statement.limit(limit)))
    except CorruptRow:
        ids = session.scalars(statement.with_only_columns(Job.id)).all()
    found: list[Job] = []
    for job_id in ids:
        if len(found) == limit:
            break
        with corrupt_rows(session).spared(f"job {job_id}"):
            found.append(get_job(session, job_id))
    return found


def _lines(session: Session, jobs: Sequence[Job]) -> list[JobLine]:
    batches = (jobs[first : first + _BATCH] for first in range(0, len(jobs), _BATCH))
    return [line for batch in batches for line in _batch_lines(session, batch)]


def _batch_lines(session: Session, jobs: Sequence[Job]) -> list[JobLine]:
    ids = [job.id for job in jobs]
    totals = linefacts.totals(session, ids)
    running = linefacts.running(session, ids)
    waits = linefacts.waits(session, ids)
    places = _places(session, ids)
    return [
        _line(session, job, totals[job.id], running.get(job.id, linefacts.Running()), waits, places) for job in jobs
    ]


def _line(
    session: Session,
    job: Job,
    totals: linefacts.Totals,
    running: linefacts.Running,
    waits: Mapping[int, Sequence[int]],
    places: Mapping[int, "Place"],
) -> JobLine:
    makes_dataset = job.kind in DATASET_MAKERS
    return JobLine(
        job=job,
        done=totals.images,
        tasks=totals.tasks,
        tasks_done=totals.tasks_done,
        devices=running.devices,
        progress=running.progress,
        rate=image_rate(session, job) if makes_dataset else running.progress.get("rate"),
        spent=totals.spent if makes_dataset else {},
        waits_for=tuple(waits.get(job.id, ())),
        place=places.get(job.id),
    )


def _places(session: Session, ids: Sequence[int]) -> Mapping[int, "Place"]:
    """Job → its place in a pipeline. The tables of pipelines are loaded where one of the jobs is of one."""
    if not session.scalar(select(exists().where(_STEPS.c.job_id.in_(ids)))):
        return {}
    from db.pipelines import places_of_jobs

    return places_of_jobs(session, ids)
