"""Runs of pipelines as table rows, and as a tree of steps."""

from typing import TYPE_CHECKING

from cli.listing import Listing
from cli.output import Column, print_fields, print_table, print_title
from client.pipelines import run_fields, step_row, step_tree
from client.values import value_text
from pixmill.pipelines import PipelineSpec, read_steps

if TYPE_CHECKING:
    from datetime import datetime

    from db.pipelines import RunView

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


def print_run(view: "RunView", at: "datetime") -> None:
    """The screen of one run."""
    print_title(f"pipeline run {view.run.id}  {view.run.name}")
    print_fields(run_fields(view, at))
    print_title("steps", gap=True)
    print_table(STEP_COLUMNS, [step_row(branch, line) for branch, line in step_tree(view.lines)], empty="")


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
