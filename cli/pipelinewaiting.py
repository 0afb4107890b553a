"""Wait for runs of pipelines: look at the database until one has ended."""

import time
from typing import TYPE_CHECKING

import click

from cli.context import Workspace
from cli.errors import INTERRUPTED
from cli.output import say
from cli.waiting import LOOK_SECONDS, reads
from pixmill.errors import JobCancelled, JobFailed, JobNotFinished
from pixmill.pipelines import PipelineState, StepState

if TYPE_CHECKING:
    from db.pipelines import RunView


def wait_for_run(workspace: Workspace, run_id: int, *, timeout_seconds: float | None) -> None:
    """Wait for the end of a run, and tell of each step that is over; Ctrl-C only detaches.

    Raises NotFound, JobFailed, JobCancelled or, when time is up, JobNotFinished.
    """
    try:
        view = _wait(workspace, run_id, timeout_seconds)
    except KeyboardInterrupt:
        say(f"detached; pipeline run {run_id} continues: pixmill pipeline wait {run_id}")
        click.get_current_context().exit(INTERRUPTED)
    run, hint = view.run, f"pixmill pipeline show {run_id}"
    why = f": {run.message}" if run.message else ""
    match run.state:
        case PipelineState.FAILED:
            raise JobFailed(f"pipeline run {run_id} failed{why}", hint=hint)
        case PipelineState.CANCELLED:
            raise JobCancelled(f"pipeline run {run_id} was cancelled{why}", hint=hint)
        case PipelineState.RUNNING:
            raise JobNotFinished(f"pipeline run {run_id} not finished in time", hint=f"pixmill pipeline wait {run_id}")
        case _:
            say(f"pipeline run {run_id} {'was skipped' if run.state is PipelineState.SKIPPED else run.state}{why}")


def _wait(workspace: Workspace, run_id: int, timeout_seconds: float | None) -> "RunView":
    from db.pipelines import view_run

    started = time.monotonic()
    told: set[str] = set()
    for view in reads(workspace, lambda session: view_run(session, run_id)):
        _tell(view, told)
        left = None if timeout_seconds is None else timeout_seconds - (time.monotonic() - started)
        if view.run.state is not PipelineState.RUNNING or (left is not None and left <= 0):
            return view
        time.sleep(LOOK_SECONDS if left is None else min(LOOK_SECONDS, left))
    raise AssertionError("unreachable")


def _tell(view: "RunView", told: set[str]) -> None:
    for line in view.lines:
        step = line.step
        if step.state.is_over and step.name not in told:
            told.add(step.name)
            was = "was " if step.state in (StepState.SKIPPED, StepState.CANCELLED) else ""
            why = step.message or step.values.get("reason")
            say(f"step {step.name} {was}{step.state}{f': {why}' if why else ''}")
