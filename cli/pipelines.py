"""Runs of pipelines as table rows, and as a tree of steps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.formatting import ago, is_in_utc, stamp, value_text
from cli.listing import Listing
from cli.output import Column, print_fields, print_table, print_title
from client.pipelines import page_of
from client.wording import age, duration
from pixmill.pipelines import EVIDENCE, PipelineSpec, read_steps
from pixmill.states import StepState
from pixmill.steptree import step_branches

if TYPE_CHECKING:
    from datetime import datetime

    from db.pipelines import RunView, StepLine

COLUMNS = [
    Column(title="RUN", align="right"),
    Column(title="NAME", shrinks=True, least=8),
    Column(title="STATE"),
    Column(title="STEPS", align="right"),
    Column(title="SCHEDULE", shrinks=True, least=8, dropped=2),
    Column(title="SCHEDULED FOR", dropped=3),
    Column(title="AGE", align="right"),
    Column(title="TIME", align="right", dropped=1),
    Column(title="REASON", shrinks=True, least=16),
]
LISTING = Listing(schema="pipeline_run_list", columns=COLUMNS)
STEP_COLUMNS = [
    Column(title="STEP"),
    Column(title="KIND", dropped=2),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="VALUES", shrinks=True, least=12, dropped=1),
    Column(title="REASON", shrinks=True, least=16),
]
PLAN_COLUMNS = [
    Column(title="STEP"),
    Column(title="KIND"),
    Column(title="AFTER", shrinks=True),
    Column(title="WHEN", shrinks=True),
]
_ELSEWHERE = ("job", "reason", "page", *EVIDENCE)  # values that have a column of their own, or are long


def run_row(view: "RunView", at: "datetime") -> list[str]:
    """The cells of COLUMNS."""
    run = view.run
    over = sum(line.step.state.is_over for line in view.lines)
    return [
        str(run.id),
        run.name,
        run.state.value,
        f"{over}/{len(view.lines)}",
        run.facts["schedule"] or "–",
        stamp(run.scheduled_for) if is_in_utc() else run.facts["scheduled_for"],
        ago(run.begun_at, at),
        duration(((run.finished_at or at) - run.begun_at).total_seconds()),
        _reason(view),
    ]


def _reason(view: "RunView") -> str:
    """Why it ended as it did, or what it waits for."""
    if view.run.message:
        return view.run.message
    if view.must_wait:
        return "an earlier run of its schedule has not ended"
    going = [line.step for line in view.lines if line.step.state is StepState.SUBMITTED]
    return ", ".join(f"step {step.name}: job {step.job_id}" for step in going)


def print_run(view: "RunView", at: "datetime") -> None:
    """The screen of one run."""
    print_title(f"pipeline run {view.run.id}  {view.run.name}")
    print_fields(_fields(view, at))
    print_title("steps", gap=True)
    print_table(STEP_COLUMNS, [_step_row(branch, line) for branch, line in step_tree(view.lines)], empty="")


def _fields(view: "RunView", at: "datetime") -> dict[str, str]:
    run = view.run
    fields = {
        "state": run.state.value,
        "reason": _reason(view),
        "schedule": run.facts["schedule"] or "",
        "scheduled for": run.facts["scheduled_for"],
        "begun": f"{stamp(run.begun_at)} by {run.user_name}, {age(run.begun_at, at)} ago",
        "finished": stamp(run.finished_at) if run.finished_at else "",
        "params": value_text(run.params) if run.params else "",
        "page": page_of(view) or "",
    }
    return {name: value for name, value in fields.items() if value}


def step_tree(lines: "Sequence[StepLine]") -> "list[tuple[str, StepLine]]":
    """Each step with the branch that leads to it."""
    by_name = {line.step.name: line for line in lines}
    branches = step_branches({name: line.step.after for name, line in by_name.items()})
    return [(branch, by_name[name]) for branch, name in branches]


def _step_row(branch: str, line: "StepLine") -> list[str]:
    step = line.step
    values = [f"{key}={value_text(value)}" for key, value in step.values.items() if key not in _ELSEWHERE]
    why = ": ".join(part for part in (step.reason, step.message) if part)
    running = line.job_state.value if step.state is StepState.SUBMITTED and line.job_state else ""
    return [
        branch + step.name,
        step.kind,
        step.state.value,
        "–" if step.job_id is None else str(step.job_id),
        ", ".join(values) or "–",
        why or str(step.values.get("reason", "")) or running,
    ]


def print_plan(spec: PipelineSpec) -> None:
    """The steps of a pipeline that has not begun."""
    rows = [
        [step.name, step.kind, ", ".join(step.after) or "–", str(spec.steps[step.name].get("when", "–"))]
        for step in read_steps(spec)
    ]
    print_table(PLAN_COLUMNS, rows, empty="")


def plan_fields(spec: PipelineSpec) -> dict[str, str]:
    """A pipeline in some lines: its parameters, and each step with what it waits for."""
    fields = {"kind": "pipeline", "name": spec.name}
    fields |= {"params": value_text(spec.params)} if spec.params else {}
    for step in read_steps(spec):
        fields[f"step {step.name}"] = step.kind + (f", after {', '.join(step.after)}" if step.after else "")
    return fields
