"""Runs of pipelines as JSON."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db.pipelines import RunView, StepLine


def run_json(view: "RunView") -> dict[str, Any]:
    """The run with its steps as JSON."""
    run = view.run
    names = ("id", "name", "reason", "message", "params", "cancel_requested", "begun_at", "finished_at")
    return {
        **{name: getattr(run, name) for name in names},
        "state": run.state.value,
        "user": run.user_name,
        "schedule": run.facts["schedule"],
        "scheduled_for": run.scheduled_for,
        "local": run.facts["scheduled_for"],
        "steps": [_step_json(line) for line in view.lines],
    }


def _step_json(line: "StepLine") -> dict[str, Any]:
    step = line.step
    return {
        **{name: getattr(step, name) for name in ("name", "kind", "after", "reason", "message", "finished_at")},
        "state": step.state.value,
        "job_id": step.job_id,
        "job_state": line.job_state.value if line.job_state else None,
        "values": step.values,
    }
