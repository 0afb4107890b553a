"""Wait for runs of pipelines, and tell of their steps."""

from typing import TYPE_CHECKING

import click

from cli.context import Workspace
from cli.errors import INTERRUPTED
from cli.output import say
from cli.waiting import say_waiting
from client.waiting import raise_run_outcome, watch_run
from pixmill.states import PipelineState, StepState

if TYPE_CHECKING:
    from db.pipelines import RunView


def wait_for_run(workspace: Workspace, run_id: int, *, timeout_seconds: float | None) -> None:
    """Wait for the end of a run, and tell of each step that is over; Ctrl-C only detaches.

    Raises NotFound, JobFailed, JobCancelled or, when time is up, JobNotFinished.
    """
    told: set[str] = set()
    try:
        for view in watch_run(workspace, run_id, timeout_seconds=timeout_seconds, note=say_waiting):
            _tell(view, told)
    except KeyboardInterrupt:
        say(f"detached; pipeline run {run_id} continues: pixmill pipeline wait {run_id}")
        click.get_current_context().exit(INTERRUPTED)
    run = view.run
    raise_run_outcome(run)
    why = f": {run.message}" if run.message else ""
    say(f"pipeline run {run_id} {'was skipped' if run.state is PipelineState.SKIPPED else run.state}{why}")


def _tell(view: "RunView", told: set[str]) -> None:
    for line in view.lines:
        step = line.step
        if step.state.is_over and step.name not in told:
            told.add(step.name)
            was = "was " if step.state in (StepState.SKIPPED, StepState.CANCELLED) else ""
            why = step.message or step.values.get("reason")
            say(f"step {step.name} {was}{step.state}{f': {why}' if why else ''}")
