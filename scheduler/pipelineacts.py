"""What operators and schedules do to pipelines: begin a run, cancel one, and go on with one from what failed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.aliases import champions
from db.control import cancel_job, retry_job
from db.moves import add_event
from db.pipelines import NewStep, RunView, StepLine, add_run, lock_run, view_run
from db.tables.pipelines import PipelineRun
from db.tables.schedules import Schedule
from pixmill.errors import Conflict, InvalidMove
from pixmill.pipelines import REPORT, PipelineSpec
from pixmill.states import PipelineState, State, StepState
from scheduler.pipelinechecks import check_pipeline
from scheduler.pipelines import make_move
from scheduler.pipelinevalues import facts_of

_UNDONE = (StepState.FAILED, StepState.CANCELLED)


def begin_run(
    session: Session,
    spec: PipelineSpec,
    params: Mapping[str, Any],
    logical: datetime,
    *,
    user: str,
    outputs: str | None,
    schedule: Schedule | None = None,
    in_turn: bool = False,
) -> PipelineRun:
    """Add a run whose first steps the scheduler begins.  Raises as `check_pipeline`.

    `logical` is the time that the run is for, with the offset that its schedule's clocks have then; `outputs` the
    setting storage.outputs; `in_turn` lets it wait for all earlier runs of its schedule.
    """
    facts = facts_of(logical)
    steps = check_pipeline(session, spec, params, facts, user=user, outputs=outputs)
    run = PipelineRun(
        name=spec.name,
        document=spec.stored(),
        params=dict(params),
        facts={**facts, "schedule": schedule.name if schedule else None, "champions": champions(session)},
        schedule_id=schedule.id if schedule else None,
        scheduled_for=logical,
        in_turn=in_turn,
        user_name=user,
    )
    new = [NewStep(step.name, step.kind, step.after, step.any_outcome) for step in steps]
    add_run(session, run, new)
    add_event(session, actor=user, action="run_pipeline", detail=f"{spec.name}: run {run.id}")
    return run


def cancel_run(session: Session, run_id: int, *, actor: str, why: str | None = None) -> PipelineState:
    """Begin nothing more of a run, and cancel what has begun; gives its state afterwards.

    Raises NotFound, or InvalidMove when it has ended.
    """
    view = _locked(session, run_id)
    if view.run.state is not PipelineState.RUNNING:
        raise InvalidMove(f"pipeline run {run_id} has already {_ended(view.run)}; it cannot be cancelled")
    view.run.cancel_requested, view.run.message = True, why
    _record(session, "cancel_pipeline", view, actor, why)
    for line in view.lines:
        if line.step.state is StepState.SUBMITTED and line.job_state is not None and not line.job_state.is_terminal:
            assert line.step.job_id is not None
            cancel_job(session, line.step.job_id, actor=actor, why=why or f"pipeline run {run_id} was cancelled")
    session.flush()
    session.expire_all()
    while make_move(session, run_id, outputs=None) is not None:  # no job begins any more
        session.expire_all()
    return view_run(session, run_id).run.state


def retry_run(session: Session, run_id: int, *, actor: str, why: str | None = None) -> list[str]:
    """Go on with a run from what failed or was cancelled; what has succeeded is kept. Gives the steps that go on.

    Jobs that failed are tried again under their ids. Raises NotFound, InvalidMove for a run without such a step, or as
    `db.control.retry_job`.
    """
    view = _locked(session, run_id)
    undone = [line for line in view.lines if line.step.state in _UNDONE]
    if view.run.state is PipelineState.RUNNING or not undone:
        found = "is running" if view.run.state is PipelineState.RUNNING else f"has {_ended(view.run)}"
        raise InvalidMove(f"pipeline run {run_id} {found}; only what failed or was cancelled can be tried again")
    _record(session, "retry_pipeline", view, actor, why)
    # A report tells of what is tried again: a new job writes it anew, unless the report is all that is left to do.
    stale = [] if all(map(_reports, undone)) else [line for line in view.lines if _reports(line)]
    for line in undone:
        if line not in stale:
            _again(session, line, actor=actor, why=why)
    skipped = [line for line in _after(view, {line.step.name for line in undone}) if _was_skipped(line)]
    for line in {line.step.name: line for line in (*skipped, *stale)}.values():
        _set_waiting(line)
    run = view.run
    run.state, run.cancel_requested = PipelineState.RUNNING, False
    run.reason = run.message = run.finished_at = None
    return [line.step.name for line in undone]


def _reports(line: StepLine) -> bool:
    return line.step.kind == REPORT


def _was_skipped(line: StepLine) -> bool:
    return line.step.state is StepState.SKIPPED


def _again(session: Session, line: StepLine, *, actor: str, why: str | None) -> None:
    step = line.step
    if step.job_id is None or line.job_state is None:
        _set_waiting(line)
        return
    if line.job_state in (State.FAILED, State.CANCELLED):
        retry_job(session, step.job_id, actor=actor, why=why)
    # Else an operator has seen to the job meanwhile: how it ends is noted as ever.
    step.state, step.reason, step.message, step.finished_at = StepState.SUBMITTED, None, None, None


def _set_waiting(line: StepLine) -> None:
    step = line.step
    step.state, step.reason, step.message, step.finished_at = StepState.WAITING, None, None, None
    step.job_id, step.values = None, {}


def _after(view: RunView, names: set[str]) -> Sequence[StepLine]:
    """All steps that wait for these, directly or not."""
    found = set(names)
    while more := {line.step.name for line in view.lines if found & set(line.step.after)} - found:
        found |= more
    return [line for line in view.lines if line.step.name in found - names]


def _locked(session: Session, run_id: int) -> RunView:
    if lock_run(session, run_id) is None:
        view_run(session, run_id)  # says that there is none
        raise Conflict(f"pipeline run {run_id} is gone")
    return view_run(session, run_id)


def _ended(run: PipelineRun) -> str:
    return f"been {run.state}" if run.state in (PipelineState.CANCELLED, PipelineState.SKIPPED) else run.state.value


def _record(session: Session, action: str, view: RunView, actor: str, why: str | None) -> None:
    detail = f"{view.run.name}: run {view.run.id}"
    add_event(session, actor=actor, action=action, detail=f"{detail}: {why}" if why else detail)
