"""Submit: check a request, add its rows in one transaction, and tell the scheduler.

The row is the outbox. Once the transaction is committed the job cannot be lost, whether Redis is up or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.jobs import NewJob, add_job, find_by_key, get_job
from db.registry import resolve_model
from db.tables import DeviceKind, Job, ModelVersion
from pixmill.errors import BrokerUnreachable, Conflict, KeyConflict, SpecError, UserError
from pixmill.names import suggestion
from pixmill.settings import Settings
from pixmill.specs import EvaluateSpec, GenerateSpec, JobOptions, TrainSpec
from pixmill.states import State
from pixmill.times import parse_time
from scheduler.plan import plan_job
from scheduler.validation import check_dataset, check_train

Spec = TrainSpec | GenerateSpec | EvaluateSpec


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What became of a submit."""

    job_id: int
    is_new: bool  # False: the key was used before, for the same spec
    broker_error: str | None  # why the scheduler could not be told; it looks by itself at its next tick


def submit(database: Database, settings: Settings, spec: Spec, options: JobOptions, *, user: str) -> Submitted:
    """Add a job, or find the one that was added under the same key.

    Raises SpecError, DatasetError, NotFound, Conflict, KeyConflict or DatabaseUnreachable; nothing is added then.
    """
    check_request(spec)
    job_id, is_new = _add_once(database, spec, options, user)
    broker_error = _tell_scheduler(settings) if is_new else None
    return Submitted(job_id=job_id, is_new=is_new, broker_error=broker_error)


def check_request(spec: Spec) -> None:
    """Check what can be checked without the database."""
    if isinstance(spec, TrainSpec):
        check_train(spec)
    elif isinstance(spec, EvaluateSpec) and spec.dataset is not None:
        check_dataset(spec.dataset)


def prepare(session: Session, spec: Spec, options: JobOptions, *, user: str) -> NewJob:
    """Resolve what the spec refers to, and plan its tasks; adds nothing."""
    parents = _parents(session, options)
    if isinstance(spec, GenerateSpec):
        spec = _pin_model(session, spec, parents)
    elif isinstance(spec, EvaluateSpec):
        _require_output(session, spec, parents)
    plan = plan_job(spec)
    return NewJob(
        kind=spec.kind,
        name=options.name or _default_name(spec),
        spec=spec.model_dump(mode="json"),
        spec_digest=spec.digest(),
        options=options.model_dump(mode="json", exclude_defaults=True),
        queue=options.queue,
        priority=options.priority,
        device_kind=None if options.device == "any" else DeviceKind(options.device),
        key=options.key,
        labels=options.labels,
        user_name=user,
        begin_at=parse_time(options.begin) if options.begin else None,
        hold=options.hold,
        parents=parents,
        progress_total=plan.images,
        tasks=plan.tasks,
    )


def _add_once(database: Database, spec: Spec, options: JobOptions, user: str) -> tuple[int, bool]:
    def act(session: Session) -> tuple[int, bool]:
        new = prepare(session, spec, options, user=user)
        present = find_by_key(session, options.key) if options.key else None
        if present is not None:
            _require_same(present, new)
            return present.id, False
        return add_job(session, new).id, True

    try:
        return database.transact(act)
    except IntegrityError:
        if options.key is None:
            raise
        return database.transact(act)  # another submit with this key came first: now it is found


def _require_same(present: Job, new: NewJob) -> None:
    if present.spec_digest == new.spec_digest:
        return
    differences = _differences(present.spec, new.spec)
    raise KeyConflict(
        f"key {present.key!r} belongs to job {present.id}, which asks for something else: {'; '.join(differences)}",
        hint=f"use another --key, or look at it: pixmill job show {present.id}",
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted(old.keys() | new.keys())
    return [f"{key} {old.get(key)!r} → {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]


def _parents(session: Session, options: JobOptions) -> dict[int, bool]:
    any_outcome = options.after_policy == "any"
    parents = {}
    for job_id in options.after:
        parent = get_job(session, job_id)
        if parent.state in (State.FAILED, State.CANCELLED) and not any_outcome:
            raise Conflict(
                f"job {job_id} has {parent.state}, so a job that waits for its success would never start",
                hint="--after-policy any starts it however the other one ended",
            )
        parents[job_id] = any_outcome
    return parents


def _pin_model(session: Session, spec: GenerateSpec, parents: dict[int, bool]) -> GenerateSpec:
    """Fix the very version that makes the images; a train job that still runs becomes a parent instead."""
    found = resolve_model(session, spec.model)
    if isinstance(found, Job):
        parents[found.id] = False
        return spec
    _check_classes(spec, found)
    return spec.model_copy(update={"model": f"{found.model.name}@{found.version}"})


def _check_classes(spec: GenerateSpec, version: ModelVersion) -> None:
    for name in spec.classes or ():
        if not version.classes:
            raise SpecError(
                f"model {version.model.name}@{version.version} knows no classes; {name!r} was asked for",
                hint="train it with --conditional",
            )
        if name not in version.classes:
            known = [str(known) for known in version.classes]
            raise SpecError(f"the model has no class {name!r}", hint=suggestion(name, known))


def _require_output(session: Session, spec: EvaluateSpec, parents: dict[int, bool]) -> None:
    output = get_job(session, spec.output)
    if output.kind != "generate":
        raise UserError(f"job {output.id} is a {output.kind} job; evaluate judges the images of a generate job")
    if output.state in (State.FAILED, State.CANCELLED):
        raise Conflict(f"job {output.id} has {output.state}; its images are not complete")
    if output.state is not State.SUCCEEDED:
        parents[output.id] = False


def _default_name(spec: Spec) -> str:
    match spec:
        case TrainSpec():
            dataset = spec.dataset.rsplit("/", 1)[-1].rpartition(":")[2] or "data"
            safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in dataset)
            return f"{spec.model}-{safe}"[:100]
        case GenerateSpec():
            return f"{spec.model.partition('@')[0].replace(':', '-')}-images"[:100]
        case EvaluateSpec():
            return f"judge-{spec.output}"


def _tell_scheduler(settings: Settings) -> str | None:
    from scheduler.broker import poke  # redis costs 80 ms to import, and a dry run never needs it

    try:
        poke(settings)
    except BrokerUnreachable as error:
        return error.message
    return None
