"""Everything that the page of a pipeline run tells, read from rows in one look."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.aliases import aliases_of
from db.finding import get_job
from db.pipelines import RunView, StepLine, ending_of, view_run
from db.registry import find_any_version, list_versions, version_of_job
from db.tables.jobs import Job
from db.tables.models import Evaluation, Model, ModelVersion
from db.tables.pipelines import PipelineRun
from db.tables.schedules import Schedule, ScheduleRun
from db.tables.told import Notification
from db.views import first_params, job_attempts, last_task
from db.workers import database_time
from pixmill.aliases import CHAMPION
from pixmill.datasets import AGAINST_KEY
from pixmill.notifications import told
from pixmill.pipelines import GATE, REPORT
from pixmill.runfacts import (
    JobFacts,
    LineFacts,
    Measured,
    NoticeFacts,
    RunFacts,
    ScheduleFacts,
    StepFacts,
    VersionFacts,
)
from pixmill.states import PipelineState

MOST_VERSIONS = 60  # of a model, that a page tells of
MOST_NOTICES = 50


def run_facts(session: Session, run_id: int) -> RunFacts:
    """All that is known of a run, in whatever state it is.  Raises NotFound."""
    view = view_run(session, run_id)
    run = view.run
    own = [line for line in view.lines if line.step.kind != REPORT]
    is_over = all(line.step.state.is_over for line in own)
    state, reason, message = run.state, run.reason, run.message
    if state is PipelineState.RUNNING and is_over:  # but for its page
        ending = ending_of(own)
        state, reason, message = ending.state, ending.reason, ending.message
    ends = [line.step.finished_at for line in own if line.step.finished_at is not None]
    steps = tuple(_step_facts(session, line) for line in view.lines)
    models = _models_of(view, steps)
    return RunFacts(
        id=run.id,
        name=run.name,
        state=state,
        reason=reason,
        message=message,
        scheduled_for=run.scheduled_for,
        scheduled_text=run.facts["scheduled_for"],
        begun_at=run.begun_at,
        finished_at=max(ends, default=run.finished_at) if is_over else None,
        told_at=database_time(session),
        user=run.user_name,
        params=run.params,
        steps=steps,
        lines=tuple(_line_facts(session, run, name) for name in models),
        notices=tuple(_notices(session, run, steps, models)),
        schedule=_schedule_facts(session, run),
    )


def _step_facts(session: Session, line: StepLine) -> StepFacts:
    step = line.step
    has_job = step.job_id is not None and line.job_state is not None
    names = ("name", "kind", "after", "state", "reason", "message", "values", "finished_at")
    return StepFacts(
        **{name: getattr(step, name) for name in names}, job=_job_facts(session, step.job_id) if has_job else None
    )


def _job_facts(session: Session, job_id: int | None) -> JobFacts:
    assert job_id is not None
    job = get_job(session, job_id)
    attempts = job_attempts(session, job.id)
    made = version_of_job(session, job.id) if job.kind == "train" else None
    names = ("id", "kind", "name", "state", "spec", "submitted_at", "started_at", "finished_at")
    return JobFacts(
        **{name: getattr(job, name) for name in names},
        result=last_task(session, job.id).result or {},
        folders=tuple(attempt.folder for attempt, _task, _worker in attempts),
        device=attempts[-1][2].name if attempts else "",
        attempts=max(Counter(task.id for _attempt, task, _worker in attempts).values(), default=0),
        made=_version_facts(made),
        compared=_version_facts(_compared(session, job)) if job.kind == "train" else None,
    )


def _compared(session: Session, job: Job) -> ModelVersion | None:
    """The version whose data those of a train job are compared with."""
    reference = job.spec.get("start_from") or first_params(session, job.id).get(AGAINST_KEY)
    name, _at, number = str(reference or "").partition("@")
    return find_any_version(session, name, int(number)) if number.isdecimal() else None


def _version_facts(version: ModelVersion | None) -> VersionFacts | None:
    if version is None:
        return None
    return VersionFacts(
        reference=version.reference,
        metric_name=version.metric_name,
        metric_value=version.metric_value,
        dataset=version.dataset.name,
        histogram=version.dataset.description.get("histogram") or {},
    )


def _models_of(view: RunView, steps: Sequence[StepFacts]) -> list[str]:
    """The models that are trained, judged or promoted, as far as that is known yet."""
    documents: Mapping[str, Mapping[str, object]] = {step["step"]: step for step in view.run.document["steps"]}
    names: list[str] = []
    for step in steps:
        if step.kind == "train":
            named = step.job.name if step.job else str(documents[step.name].get("name", "$"))
            names += [] if "$" in named else [named]
        names += [str(step.values[key]).partition("@")[0] for key in ("model",) if key in step.values]
    return list(dict.fromkeys(names))


def _line_facts(session: Session, run: PipelineRun, name: str) -> LineFacts:
    before = run.facts["champions"].get(name)
    model_id = session.scalar(select(Model.id).where(Model.name == name))
    return LineFacts(
        name=name,
        before=_version_facts(find_any_version(session, name, before)) if before is not None else None,
        now=None if model_id is None else aliases_of(session, model_id).get(CHAMPION),
        measured=tuple(_measured(session, name)),
    )


def _measured(session: Session, name: str) -> Iterator[Measured]:
    """What gates have measured of the last versions, the last figure of each by each feature net."""
    versions = {version.id: version.version for version in list_versions(session, name, removed=True)[:MOST_VERSIONS]}
    statement = (
        select(Evaluation.model_version_id, Evaluation.metrics)
        .join(Job, Job.id == Evaluation.job_id)
        .where(Job.kind == GATE, Evaluation.model_version_id.in_(versions))
        .order_by(Evaluation.id)
    )
    found: dict[tuple[int, str], float] = {}
    for version_id, metrics in session.execute(statement):
        found |= {(versions[version_id], metric["name"]): metric["value"] for metric in metrics}
    for (version, metric), value in sorted(found.items()):
        yield Measured(version=version, metric=metric, value=value)


def _notices(
    session: Session, run: PipelineRun, steps: Sequence[StepFacts], names: Sequence[str]
) -> Iterator[NoticeFacts]:
    subjects = [f"pipeline run {run.id}", *(f"job {step.job.id}" for step in steps if step.job)]
    models = [f"model {name}" for name in names]
    meanwhile = Notification.added_at >= run.begun_at
    if run.finished_at is not None:
        meanwhile &= Notification.added_at <= run.finished_at
    of_run = Notification.subject.in_(subjects) | (Notification.subject.in_(models) & meanwhile)
    statement = select(Notification).where(of_run).order_by(Notification.id).limit(MOST_NOTICES)
    for row in session.scalars(statement):
        text = told(row.kind, row.subject, row.facts, row.count)
        yield NoticeFacts(at=row.added_at, text=text, state=row.state.value, tries=row.tries, error=row.error)


def _schedule_facts(session: Session, run: PipelineRun) -> ScheduleFacts | None:
    schedule = session.get(Schedule, run.schedule_id) if run.schedule_id is not None else None
    if schedule is None:
        return None
    time = (ScheduleRun.schedule_id == schedule.id, ScheduleRun.scheduled_for == run.scheduled_for)
    following = schedule.next_for
    return ScheduleFacts(
        name=schedule.name,
        next_for=following.astimezone(ZoneInfo(schedule.zone)).isoformat(" ", "minutes") if following else None,
        paused=schedule.paused,
        jitter_seconds=schedule.jitter_seconds,
        by_hand=session.scalar(select(ScheduleRun.by_hand).where(*time)),
    )
