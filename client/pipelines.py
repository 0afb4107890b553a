"""Runs of pipelines: begun, and as they stand, as values and in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.documents import read_documents, readable, text_documents
from client.moments import ago, is_in_utc, stamp
from client.values import value_text
from client.wording import age, duration
from client.workspace import Workspace
from pixmill.errors import SpecError
from pixmill.homes import expanded
from pixmill.names import NAME_PATTERN
from pixmill.pipelines import EVIDENCE, PIPELINE, PipelineSpec, is_pipeline, parse_pipeline
from pixmill.states import PipelineState, State, StepState
from pixmill.steptree import step_branches

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.pipelines import RunView, StepLine

_ELSEWHERE = ("job", "reason", "page", *EVIDENCE)  # values that have a column of their own, or are long


@dataclass(frozen=True, kw_only=True)
class PipelineStep:
    """One step of a run."""

    name: str
    kind: str
    after: tuple[str, ...]  # steps that it waits for
    state: StepState
    reason: str | None
    message: str | None
    job_id: int | None
    job_state: State | None
    values: Mapping[str, Any]  # that later steps can refer to
    finished_at: datetime | None

    @classmethod
    def of(cls, line: "StepLine") -> "PipelineStep":
        """The step as the database has it."""
        same = ("name", "kind", "state", "reason", "message", "job_id", "values", "finished_at")
        values = {name: getattr(line.step, name) for name in same}
        return cls(**values, after=tuple(line.step.after), job_state=line.job_state)


@dataclass(frozen=True, kw_only=True)
class PipelineRun:
    """One run of a pipeline as it stood at one moment."""

    id: int
    name: str  # of the pipeline
    state: PipelineState
    reason: str | None
    message: str | None
    params: Mapping[str, Any]
    cancel_requested: bool
    user: str
    schedule: str | None  # that began it
    scheduled_for: datetime
    local: str  # the same by the clocks of the schedule's zone
    begun_at: datetime
    finished_at: datetime | None
    page: str | None  # that a step has written, relative to the storage root
    steps: tuple[PipelineStep, ...]

    @property
    def is_over(self) -> bool:
        """Whether nothing of it goes on."""
        return self.state is not PipelineState.RUNNING

    @classmethod
    def of(cls, view: "RunView") -> "PipelineRun":
        """The run as the database has it."""
        run = view.run
        same = ["id", "name", "state", "reason", "message", "params", "cancel_requested", "scheduled_for"]
        same += ["begun_at", "finished_at"]
        return cls(
            **{name: getattr(run, name) for name in same},
            user=run.user_name,
            schedule=run.facts["schedule"],
            local=run.facts["scheduled_for"],
            page=page_of(view),
            steps=tuple(map(PipelineStep.of, view.lines)),
        )

    def to_json(self) -> dict[str, Any]:
        """The run as JSON."""
        return asdict(self)


def page_of(view: "RunView") -> str | None:
    """The page that a step of the run has written, relative to the storage root."""
    return next((line.step.values["page"] for line in view.lines if "page" in line.step.values), None)


def run_json(view: "RunView") -> dict[str, Any]:
    """The run with its steps as JSON."""
    return PipelineRun.of(view).to_json()


def pipeline_of(document: Mapping[str, Any]) -> PipelineSpec:
    """The pipeline of a document; counts may be written like 10k, time spans like 2h.  Raises SpecError."""
    steps = document.get("steps")
    if not isinstance(steps, Mapping):
        return parse_pipeline(document)
    read = {name: readable(step) if isinstance(step, Mapping) else step for name, step in steps.items()}
    return parse_pipeline({**document, "steps": read})


def only_pipeline(documents: list[dict[str, Any]], source: str) -> PipelineSpec:
    """The pipeline of a file or a text that holds nothing else.  Raises SpecError."""
    if len(documents) > 1:
        raise SpecError(f"it holds {len(documents)} documents, and a pipeline is one", hint="part the file")
    if not is_pipeline(documents[0]):
        kind = documents[0].get("kind")
        raise SpecError(
            f"it is of kind {kind}, not a pipeline",
            hint=f"pixmill submit -f {source}, or begin it with kind: {PIPELINE}",
        )
    return pipeline_of(documents[0])


def find_pipeline(workspace: Workspace, wanted: Mapping[str, Any] | str | Path) -> PipelineSpec:
    """The pipeline of a document, a text of YAML, a file, or of that name among those that ran or are scheduled.

    Raises SpecError, UserError, NotFound or DatabaseUnreachable.
    """
    from db.pipelines import known_document

    if isinstance(wanted, Mapping):
        return only_pipeline([dict(wanted)], "FILE")
    if isinstance(wanted, Path):
        return only_pipeline(read_documents(str(expanded(wanted).absolute())), str(wanted))
    if re.match(NAME_PATTERN, wanted) is None:
        return only_pipeline(text_documents(wanted), "FILE")
    return parse_pipeline(workspace.database.consult(lambda session: known_document(session, wanted)))


def begin(workspace: Workspace, spec: PipelineSpec, values: Mapping[str, Any], *, user: str) -> int:
    """Add a run of a pipeline with all its parameters; gives its id.

    Raises what says that a step could not be run: nothing is added then.
    """
    from db.workers import database_time
    from scheduler.pipelineacts import begin_run

    outputs = workspace.settings.storage.outputs

    def act(session: "Session") -> int:
        at = database_time(session).astimezone(UTC)
        return begin_run(session, spec, values, at, user=user, outputs=outputs).id

    return workspace.database.transact(act)


def run_row(view: "RunView", at: datetime) -> list[str]:
    """Id, name, state, steps, schedule, time by it, age, time taken, reason."""
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


def run_fields(view: "RunView", at: datetime) -> dict[str, str]:
    """State, times, parameters and page; empty ones are left out."""
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


def step_row(branch: str, line: "StepLine") -> list[str]:
    """Name, kind, state, job, values, reason."""
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
