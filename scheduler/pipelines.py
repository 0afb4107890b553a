"""Pipelines: what becomes of the steps of a run, whatever happens in between.

One move is one transaction that holds the run's row: to note that a step is over, to begin one that need not wait any
more (its job is added in the same transaction), or to end the run. So any number of schedulers may do this at once,
and each step gets one job wherever they are killed.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from db.aliases import champions
from db.corrupt import corrupt_rows
from db.engine import Database
from db.finding import get_job
from db.pipelines import RunView, StepLine, active_run_ids, active_runs, ending_of, lock_run, view_run
from db.registry import version_of_job
from db.tables.jobs import Job
from db.tables.pipelines import PipelineRun, PipelineStep
from db.telling import tell
from db.types import CORRUPT_HINT, now
from db.views import last_task
from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import CorruptRow, PixmillError, Unavailable
from pixmill.pipelines import EVIDENCE, GATE, JUDGED, PROMOTE, REPORT, Step, parse_pipeline, read_steps
from pixmill.references import substituted
from pixmill.states import PipelineState, SkipCause, State, StepState
from scheduler.leftalone import LeftAlone
from scheduler.pipelinevalues import MissingValue, Values, request_of, require_facts, values_of
from scheduler.promotion import decide_promotion
from scheduler.submit import add_prepared, check_request, prepare
from scheduler.validation import check_outputs

log = logging.getLogger(__name__)


class Deed(StrEnum):
    """What one move does."""

    NOTE = "note"  # that a step is over
    BEGIN = "begin"  # or skip, as its condition says
    PROMOTE = "promote"
    CANCEL = "cancel"  # a step that has not begun
    END = "end"  # the run


LEFT = {GATE: (*JUDGED, *EVIDENCE), REPORT: ("page",)}  # of the results of these kinds of steps
_CRASHES = {
    Deed.NOTE: CrashPoint.SCHEDULER_NOTED_STEP,
    Deed.BEGIN: CrashPoint.SCHEDULER_ADDED_STEP,
    Deed.PROMOTE: CrashPoint.SCHEDULER_PROMOTED,
}


@dataclass(frozen=True)
class Move:
    """What is to be done next with a run."""

    deed: Deed
    line: StepLine | None = None


class Conductor:
    """Lets runs of pipelines go on; `outputs` is where finished data sets go, as the setting storage.outputs says."""

    def __init__(self, database: Database, *, outputs: str | None) -> None:
        self._database = database
        self._outputs = outputs
        self._left_alone = LeftAlone("pipeline run", database.corrupt_rows)

    def advance(self) -> int:
        """Do all that can be done now; gives how many steps have begun.  Raises DatabaseUnreachable."""
        due = [view.run.id for view in self._views() if self._is_due(view)]
        # A run that ends may be what another one waits for: the next look sees that.
        return sum(self._worked_off(run_id) for run_id in self._left_alone.sound(due))

    def _views(self) -> list[RunView]:
        try:
            return self._database.consult(active_runs)
        except CorruptRow:  # one row that nobody can read hides none of the others
            active = self._left_alone.sound(self._database.consult(active_run_ids))
            return [view for run_id in active if (view := self._view(run_id)) is not None]

    def _view(self, run_id: int) -> RunView | None:
        look = partial(self._database.consult, lambda session: view_run(session, run_id))
        return self._left_alone.attempt(run_id, look)

    def _is_due(self, view: RunView) -> bool:
        return self._left_alone.attempt(view.run.id, partial(next_move, view)) is not None

    def _worked_off(self, run_id: int) -> int:
        return self._left_alone.attempt(run_id, partial(self._move_on, run_id)) or 0

    def _move_on(self, run_id: int) -> int:
        begun = 0
        move_it = partial(make_move, run_id=run_id, outputs=self._outputs)
        while (move := self._database.transact(move_it)) is not None:
            if move.deed in _CRASHES:
                reach(_CRASHES[move.deed])
            begun += move.deed is Deed.BEGIN
            _tell(run_id, move)
        return begun


def _tell(run_id: int, move: Move) -> None:
    step = move.line.step.name if move.line else None
    log.info("pipeline went on", extra={"action": f"pipeline {move.deed}", "run": run_id, "step": step})


def next_move(view: RunView) -> Move | None:
    """What is to be done next; None: nothing before a job ends."""
    if view.run.state is not PipelineState.RUNNING:
        return None
    for line in view.lines:
        if line.step.state is StepState.SUBMITTED and (line.job_state is None or line.job_state.is_terminal):
            return Move(Deed.NOTE, line)
    for line in view.lines:
        if line.step.state is StepState.WAITING and (move := _begin(view, line)) is not None:
            return move
    return Move(Deed.END) if all(line.step.state.is_over for line in view.lines) else None


def _begin(view: RunView, line: StepLine) -> Move | None:
    if view.run.cancel_requested:
        return Move(Deed.CANCEL, line)
    if view.must_wait or not all(view.named(name).step.state.is_over for name in line.step.after):
        return None
    return Move(Deed.PROMOTE if line.step.kind == PROMOTE else Deed.BEGIN, line)


def make_move(session: Session, run_id: int, outputs: str | None) -> Move | None:
    """Make one move under the run's lock; None if there is none.  `outputs` is the setting storage.outputs."""
    if lock_run(session, run_id) is None:
        return None
    view = view_run(session, run_id)
    move = next_move(view)
    if move is None:
        return None
    require_facts(view.run)
    match move:
        case Move(Deed.NOTE, StepLine() as line):
            _note(session, line)
        case Move(Deed.CANCEL, StepLine(step, _)):
            _end_step(step, StepState.CANCELLED, message=view.run.message)
        case Move(_, StepLine(step, _)):
            _begin_step(session, view, step, outputs)
        case _:
            _end_run(session, view)
    session.flush()
    return move


def _end_step(step: PipelineStep, state: StepState, reason: str | None = None, message: str | None = None) -> None:
    step.state, step.reason, step.message = state, reason, message
    step.finished_at = now()


def _note(session: Session, line: StepLine) -> None:
    """Take over how a job has ended, and what it has left."""
    step = line.step
    if step.job_id is None or line.job_state is None:
        _end_step(step, StepState.FAILED, "NotFound", "its job is gone")
        return
    try:
        _take_over(session, step, get_job(session, step.job_id))
    except CorruptRow as error:
        corrupt_rows(session).tell(f"job {step.job_id} of pipeline run {step.run_id}", error)
        _end_step(step, StepState.FAILED, type(error).__name__, error.message)


def _take_over(session: Session, step: PipelineStep, job: Job) -> None:
    if job.state is not State.SUCCEEDED:
        _end_step(step, StepState(job.state.value), job.reason, job.message)
        return
    result = last_task(session, job.id).result or {}
    skipped = result.get("skipped")
    if isinstance(skipped, Mapping):
        _end_step(step, StepState.SKIPPED, str(skipped.get("reason", "Skipped"))[:64], skipped.get("detail"))
        return
    left: dict[str, Any] = {}
    if step.kind in LEFT:
        left = {key: result[key] for key in LEFT[step.kind] if result.get(key) is not None}
    elif (version := version_of_job(session, job.id)) is not None:
        left = {"model": version.reference, "version": version.version}
    step.values = {**step.values, **left}
    _end_step(step, StepState.SUCCEEDED)


def _begin_step(session: Session, view: RunView, row: PipelineStep, outputs: str | None) -> None:
    """Add a step's job, or say why there is none."""
    if all(line.step.state is StepState.WAITING for line in view.lines):
        # A run may have waited for one before it, which has promoted.
        view.run.facts = {**view.run.facts, "champions": champions(session)}
    try:
        with session.begin_nested():  # a step that is refused adds nothing
            _begin_or_skip(session, view, row, outputs)
    except MissingValue as missing:
        # After a step that had to end well there is no such case: `after_policy: any` was asked for.
        parent = view.named(missing.step).step
        if parent.state is StepState.SUCCEEDED:
            _end_step(row, StepState.FAILED, type(missing).__name__, missing.message)
        else:
            _end_step(row, StepState.SKIPPED, SkipCause.DEPENDENCY, missing.message)
    except Unavailable:
        raise
    except PixmillError as error:
        hint = f" ({error.hint})" if error.hint else ""
        _end_step(row, StepState.FAILED, type(error).__name__, error.message + hint)


def _begin_or_skip(session: Session, view: RunView, row: PipelineStep, outputs: str | None) -> None:
    parents = [view.named(name).step for name in row.after]
    bad = next((parent for parent in parents if parent.state is not StepState.SUCCEEDED), None)
    if bad is not None and not row.any_outcome:
        _end_step(row, StepState.SKIPPED, SkipCause.DEPENDENCY, f"step {bad.name} was {_was(bad.state)}")
        return
    step = _step_of(view.run, row)
    values = values_of(view)
    if step.when is not None and not step.when.holds(found := values(step.when.reference)):
        _end_step(row, StepState.SKIPPED, SkipCause.CONDITION, f"{step.when.reference} is {_shown(found)}")
    elif step.kind == PROMOTE:
        row.values = decide_promotion(session, view, substituted(step.body, values))
        _end_step(row, StepState.SUCCEEDED)
    else:
        row.job_id = _add_job(session, view, step, values, outputs)
        row.values, row.state = {"job": row.job_id}, StepState.SUBMITTED


def _step_of(run: PipelineRun, row: PipelineStep) -> Step:
    """What the run's document says of a step.  Raises SpecError or CorruptRow."""
    found = next((each for each in read_steps(parse_pipeline(run.document)) if each.name == row.name), None)
    if found is None:
        raise CorruptRow(f"the document of pipeline run {run.id} has no step {row.name!r}", hint=CORRUPT_HINT)
    return found


def _was(state: StepState) -> str:
    return "not successful" if state is StepState.FAILED else state.value


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _add_job(session: Session, view: RunView, step: Step, values: Values, outputs: str | None) -> int:
    run = view.run
    spec, options = request_of(step.body, values)
    check_outputs(spec, outputs)
    labels = {**options.labels, **run_labels(view), "step": step.name}
    new = prepare(session, check_request(spec), options.model_copy(update={"labels": labels}), user=run.user_name)
    note = ", ".join(filter(None, [f"step {step.name} of pipeline run {run.id}", new.note]))
    return add_prepared(session, [replace(new, note=note)])[0]


def run_labels(view: RunView) -> dict[str, str]:
    """What all jobs of a run are labelled with."""
    run = view.run
    planned = {key: run.facts[key] for key in ("schedule", "scheduled_for") if run.facts.get("schedule")}
    return {"pipeline": run.name, "run": str(run.id), **planned}


def _end_run(session: Session, view: RunView) -> None:
    run = view.run
    ending = ending_of(view.lines)
    run.state = ending.state
    if ending.message is not None:
        run.reason, run.message = ending.reason, ending.message
    run.finished_at = now()
    tell(session, "pipeline.ended", f"pipeline run {run.id}", _ending(view))


def _ending(view: RunView) -> dict[str, Any]:
    """What operators are told of a run that has ended: also what it has judged, and what became of that."""
    run = view.run
    left = [line.step.values for line in view.lines]
    promotion = next((values for values in left if "promoted" in values), {})
    return {
        "name": run.name,
        "run_id": run.id,
        "state": run.state.value,
        "schedule": run.facts["schedule"],
        "scheduled_for": run.facts["scheduled_for"],
        "verdict": next((values["verdict"] for values in left if "verdict" in values), None),
        "promoted": promotion.get("promoted"),
        "reason": run.reason,
        "message": run.message or promotion.get("reason"),
        "page": next((values["page"] for values in left if "page" in values), None),
    }
