"""Rows of pipelines: runs, their steps, and how the jobs of these stand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from db.finding import LARGEST_ID
from db.periods import ALWAYS, Period
from db.tables.jobs import Job
from db.tables.pipelines import PipelineRun, PipelineStep
from db.tables.schedules import Schedule
from db.types import CORRUPT_HINT
from pixmill.errors import CorruptRow, NotFound
from pixmill.names import suggestion
from pixmill.states import PipelineState, SkipCause, State, StepState


@dataclass(frozen=True)
class StepLine:
    """A step, and how its job stands, if it has one."""

    step: PipelineStep
    job_state: State | None


@dataclass(frozen=True)
class RunView:
    """A run as it stands: all that decides what becomes of it next."""

    run: PipelineRun
    lines: Sequence[StepLine]  # by number
    must_wait: bool  # for an earlier run of its schedule

    def named(self, name: str) -> StepLine:
        """The step of that name.  Raises CorruptRow if the run has none."""
        found = next((line for line in self.lines if line.step.name == name), None)
        if found is None:
            raise CorruptRow(f"pipeline run {self.run.id} has no step {name!r}, but refers to it", hint=CORRUPT_HINT)
        return found


@dataclass(frozen=True)
class NewStep:
    """A step to be added with its run."""

    name: str
    kind: str
    after: Sequence[str]
    any_outcome: bool


@dataclass(frozen=True)
class Ending:
    """How a run has ended, and by which step: its reason, and a line that names it; None where all is well."""

    state: PipelineState
    reason: str | None = None
    message: str | None = None


def ending_of(lines: Sequence[StepLine]) -> Ending:
    """How a run has ended whose steps are over."""
    own_skips = [
        line for line in lines if line.step.state is StepState.SKIPPED and line.step.reason not in [*SkipCause]
    ]
    for state, found in (
        (PipelineState.FAILED, [line for line in lines if line.step.state is StepState.FAILED]),
        (PipelineState.CANCELLED, [line for line in lines if line.step.state is StepState.CANCELLED]),
        (PipelineState.SKIPPED, own_skips),
    ):
        if found:
            step = found[0].step
            return Ending(state, step.reason, ": ".join(filter(None, [f"step {step.name}", step.reason, step.message])))
    return Ending(PipelineState.SUCCEEDED)


def add_run(session: Session, run: PipelineRun, steps: Iterable[NewStep]) -> PipelineRun:
    """Add a run, none of whose steps has begun."""
    run.state = PipelineState.RUNNING
    session.add(run)
    session.flush()
    for number, new in enumerate(steps):
        own = {"name": new.name, "kind": new.kind, "after": list(new.after), "any_outcome": new.any_outcome}
        session.add(PipelineStep(run_id=run.id, number=number, state=StepState.WAITING, values={}, **own))
    session.flush()
    return run


def active_runs(session: Session) -> list[RunView]:
    """All runs that have not ended, the oldest first."""
    return _views(session, select(PipelineRun).where(PipelineRun.state == PipelineState.RUNNING))


def active_run_ids(session: Session) -> Sequence[int]:
    """The ids of all runs that have not ended, in rising order."""
    active = select(PipelineRun.id).where(PipelineRun.state == PipelineState.RUNNING)
    return session.scalars(active.order_by(PipelineRun.id)).all()


def view_run(session: Session, run_id: int) -> RunView:
    """One run as it stands.  Raises NotFound."""
    views = _views(session, select(PipelineRun).where(PipelineRun.id == run_id)) if run_id <= LARGEST_ID else []
    if not views:
        raise NotFound(f"there is no pipeline run {run_id}", hint="pixmill pipeline ls")
    return views[0]


def view_runs(session: Session, limit: int | None, name: str | None = None, begun: Period = ALWAYS) -> list[RunView]:
    """The last runs, the newest first; of one pipeline if it is named."""
    within = begun.bounds(PipelineRun.begun_at)
    statement = select(PipelineRun).where(*within).order_by(PipelineRun.id.desc()).limit(limit)
    views = _views(session, statement if name is None else statement.where(PipelineRun.name == name))
    return views[::-1]


def last_runs(session: Session) -> Sequence[PipelineRun]:
    """The last run of each pipeline, by their names."""
    last = select(func.max(PipelineRun.id)).group_by(PipelineRun.name)
    return session.scalars(select(PipelineRun).where(PipelineRun.id.in_(last)).order_by(PipelineRun.name)).all()


def lock_run(session: Session, run_id: int) -> PipelineRun | None:
    """Lock the row of a run until the transaction ends; None if there is none."""
    statement = select(PipelineRun).where(PipelineRun.id == run_id).with_for_update(key_share=True)
    return session.scalars(statement.execution_options(populate_existing=True)).one_or_none()


def _views(session: Session, chosen: "Select[PipelineRun]") -> list[RunView]:
    runs = sorted(session.scalars(chosen), key=lambda run: run.id)
    lines: dict[int, list[StepLine]] = {run.id: [] for run in runs}
    steps = (
        select(PipelineStep, Job.state)
        .outerjoin(Job, Job.id == PipelineStep.job_id)
        .where(PipelineStep.run_id.in_(list(lines)))
        .order_by(PipelineStep.run_id, PipelineStep.number)
    )
    for step, state in session.execute(steps) if runs else ():
        lines[step.run_id].append(StepLine(step, state))
    waiting = set(_in_turn(session)) if any(run.in_turn for run in runs) else set()
    return [RunView(run, lines[run.id], run.id in waiting) for run in runs]


def _in_turn(session: Session) -> Sequence[int]:
    """Runs that have to wait for an earlier one of their schedule."""
    earlier = aliased(PipelineRun)
    still = exists().where(
        earlier.schedule_id == PipelineRun.schedule_id,
        earlier.id < PipelineRun.id,
        earlier.state == PipelineState.RUNNING,
    )
    here = (PipelineRun.state == PipelineState.RUNNING, PipelineRun.in_turn, still)
    return session.scalars(select(PipelineRun.id).where(*here)).all()


def unfinished_runs(session: Session, schedule_id: int, limit: int) -> Sequence[int]:
    """Those of a schedule's runs that have not ended, the oldest first."""
    of_schedule = (PipelineRun.schedule_id == schedule_id, PipelineRun.state == PipelineState.RUNNING)
    last = select(PipelineRun.id).where(*of_schedule).order_by(PipelineRun.id.desc()).limit(limit)
    return sorted(session.scalars(last))


def known_document(session: Session, name: str) -> Mapping[str, Any]:
    """The document of the last run of that pipeline, or of a schedule that runs it.  Raises NotFound."""
    of_name = select(PipelineRun).where(PipelineRun.name == name).order_by(PipelineRun.id.desc()).limit(1)
    last = session.scalars(of_name).one_or_none()
    if last is not None:
        return last.document
    planned: dict[str, Mapping[str, Any]] = {
        document["name"]: document
        for document in session.scalars(select(Schedule.document))
        if document.get("kind") == "pipeline"
    }
    if name in planned:
        return planned[name]
    names = {*planned, *session.scalars(select(PipelineRun.name).distinct())}
    hint = suggestion(name, names) if names else "give its file: pixmill pipeline run -f FILE"
    raise NotFound(f"no pipeline {name!r} has run or is scheduled", hint=hint)


@dataclass(frozen=True)
class Place:
    """Where a job stands in a pipeline."""

    run: PipelineRun
    step: str
    number: int  # of the step


def places_of_jobs(session: Session, job_ids: Sequence[int]) -> dict[int, Place]:
    """Job → its place; jobs of no pipeline are left out."""
    statement = (
        select(PipelineStep.job_id, PipelineRun, PipelineStep.name, PipelineStep.number)
        .join(PipelineRun, PipelineRun.id == PipelineStep.run_id)
        .where(PipelineStep.job_id.in_(job_ids))
    )
    rows = session.execute(statement)
    return {job_id: Place(run, name, number) for job_id, run, name, number in rows if job_id is not None}


def references_of(champions: Mapping[str, int]) -> dict[str, str]:
    """Model → `NAME@VERSION` of its champion, from what a run has noted of them.

    >>> references_of({"digits": 7})
    {'digits': 'digits@7'}
    """
    return {name: f"{name}@{version}" for name, version in champions.items()}
