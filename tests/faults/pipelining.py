"""Runs of pipelines on a line that is hurt: begun, watched to their end, and counted."""

from typing import Any

from sqlalchemy import select

from db.pipelines import RunView, view_run
from db.tables.jobs import Job
from db.workers import database_time
from pixmill.crashpoints import CrashPoint
from pixmill.pipelines import parse_pipeline
from pixmill.states import PipelineState, StepState
from scheduler.broker import poke
from scheduler.pipelineacts import begin_run
from tests.faults.rough import RoughLine

# By which a scheduler comes between two transactions of a run.
POINTS = (CrashPoint.SCHEDULER_NOTED_STEP, CrashPoint.SCHEDULER_ADDED_STEP, CrashPoint.SCHEDULER_PROMOTED)


def begin(line: RoughLine, **steps: dict[str, Any]) -> int:
    """Begin a run of these steps; its id."""
    spec = parse_pipeline({"kind": "pipeline", "name": "hurt", "steps": steps})

    def act(session: Any) -> int:
        return begin_run(session, spec, {}, database_time(session), user="tester", outputs=None).id

    run_id = line.database.transact(act)
    poke(line.settings)
    return run_id


def view(line: RoughLine, run_id: int) -> RunView:
    """The run as it stands."""
    with line.database.read() as session:
        return view_run(session, run_id)


def finish(line: RoughLine, run_id: int) -> None:
    """See the run succeed, whatever dies, with one job for each step that is none itself."""
    line.tend_until(lambda: view(line, run_id).run.state is not PipelineState.RUNNING)
    ended = view(line, run_id)
    assert ended.run.state is PipelineState.SUCCEEDED, ended.run.message
    assert {each.step.state for each in ended.lines} <= {StepState.SUCCEEDED, StepState.SKIPPED}
    with line.database.read() as session:
        jobs = session.scalars(select(Job.id).where(Job.labels["run"].as_string() == str(run_id))).all()
    assert sorted(jobs) == sorted(each.step.job_id for each in ended.lines if each.step.job_id is not None)
