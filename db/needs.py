"""Who needs which versions of models: aliases, unfinished jobs and pipelines, schedules, and what they have made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, false, or_, select
from sqlalchemy.orm import Session

from db.aliases import aliases_by_version
from db.outputs import is_removed
from db.pipelines import references_of
from db.tables.jobs import Job
from db.tables.models import ModelVersion
from db.tables.pipelines import PipelineRun, PipelineStep
from db.tables.published import Shard
from db.tables.schedules import Schedule
from pixmill.kinds import DATASET_MAKERS
from pixmill.pipelines import CHAMPION
from pixmill.references import Reference
from pixmill.states import ACTIVE, PipelineState, State

NEEDS_MODEL = (*DATASET_MAKERS, "compress")  # kinds whose finished output is read, or made again, with the model
MOST_NAMES = 20  # of models that a statement looks for in specs; with more of them all specs are read


@dataclass(frozen=True)
class Need:
    """One reason why a version cannot go."""

    sort: str  # "alias", "job", "pipeline", "output" or "schedule"; or of a rule, as BY_RULE has them
    text: str


BY_RULE = frozenset({"last", "best", "champion", "recent"})  # sorts of reasons that another policy would not have


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Every reason why something stays; or, without any, what each rule found."""

    kept: tuple[Need, ...]
    missed: tuple[str, ...]

    @property
    def goes(self) -> bool:
        """Whether nothing keeps it."""
        return not self.kept

    @property
    def is_kept_by_rule(self) -> bool:
        """Whether rules of the policy alone keep it."""
        return bool(self.kept) and all(need.sort in BY_RULE for need in self.kept)


def needs_of(session: Session, versions: Sequence[ModelVersion]) -> dict[int, list[Need]]:
    """What needs each of these versions, by their ids; those that nothing needs have an empty list."""
    aliases = aliases_by_version(session)
    needs = {
        version.id: [
            Need("alias", f"{alias} stands for it") for alias in aliases.get((version.model_id, version.version), ())
        ]
        for version in versions
    }
    called = {name: version.id for version in versions for name in names_of(version)}
    for named, need in (*_jobs(session, versions), *_pipelines(session), *_schedules(session)):
        for version_id in {called[text] for text in texts(named) if text in called}:
            needs[version_id].append(need)
    return needs


def names_of(version: ModelVersion) -> tuple[str, str]:
    """How a spec names a version: by its number, or by the job that trained it."""
    return version.reference, f"job:{version.job_id}"


def _jobs(session: Session, versions: Sequence[ModelVersion]) -> Iterator[tuple[Mapping[str, Any], Need]]:
    """Specs of jobs that still need whatever model they name, the unfinished first."""
    is_whole = and_(Job.state == State.SUCCEEDED, ~is_removed())
    has_shards = exists().where(Shard.job_id == Job.id)
    is_active = Job.state.in_(ACTIVE)
    statement = (
        select(Job.id, Job.kind, Job.state, Job.spec)
        .where(or_(is_active, and_(Job.kind.in_(NEEDS_MODEL), or_(is_whole, has_shards))), may_name(versions))
        .order_by(is_active.desc(), Job.id)
    )
    for job_id, kind, state, spec in session.execute(statement):
        if state in ACTIVE:
            yield spec, Need("job", f"{kind} job {job_id} is {state}")
        elif state is State.SUCCEEDED:
            yield spec, Need("output", f"output {job_id} was made with it")
        else:
            yield spec, Need("output", f"shards of {kind} job {job_id}, which {_ended(state)}, were made with it")


def _ended(state: State) -> str:
    return "was cancelled" if state is State.CANCELLED else "failed"


def may_name(versions: Sequence[ModelVersion]) -> ColumnElement[bool]:
    """Whether a job's spec may name one of these: what the database can tell without taking it apart."""
    spec = cast(Job.spec, Text)
    starts = {f'"{version.model.name}@' for version in versions} | {'"job:'}
    if len(starts) > MOST_NAMES:
        return Job.id.is_not(None)
    return or_(false(), *(spec.contains(start, autoescape=True) for start in sorted(starts)))


def _pipelines(session: Session) -> Iterator[tuple[Any, Need]]:
    """What unfinished runs name, and what their steps have left to those after them."""
    running = PipelineRun.state == PipelineState.RUNNING
    for run in session.scalars(select(PipelineRun).where(running).order_by(PipelineRun.id)):
        yield [run.document, run.params, _champions(run)], Need("pipeline", f"pipeline run {run.id} names it")
    steps = select(PipelineStep).join(PipelineRun, PipelineRun.id == PipelineStep.run_id).where(running)
    for step in session.scalars(steps.order_by(PipelineStep.id)):
        # What its job has left is noted a moment after that job has ended.
        left = [step.values, f"job:{step.job_id}"]
        yield left, Need("pipeline", f"step {step.name} of pipeline run {step.run_id} has it")


def _champions(run: PipelineRun) -> list[str]:
    """The versions that `${champion.NAME}` stands for in a run."""
    written = "\n".join(texts(run.document))
    champions = references_of(run.facts["champions"])
    return [version for name, version in champions.items() if str(Reference(CHAMPION, name)) in written]


def _schedules(session: Session) -> Iterator[tuple[Mapping[str, Any], Need]]:
    for name, document in session.execute(select(Schedule.name, Schedule.document).order_by(Schedule.name)):
        yield document, Need("schedule", f"schedule {name} names it")


def texts(value: Any) -> Iterator[str]:
    """All texts inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
