"""Submit: check a request, add its rows in one transaction, and tell the scheduler.

The row is the outbox. Once the transaction is committed the job cannot be lost, whether Redis is up or not.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.jobs import NewJob, add_jobs, ended, find_by_key, get_job
from db.registry import parse_reference, resolve_model
from db.tables import DeviceKind, Job, ModelVersion
from pixmill.crashpoints import CrashPoint, reach
from pixmill.datasets import ROLES, TASK_KEY
from pixmill.errors import BrokerUnreachable, Conflict, KeyConflict, SpecError, UserError
from pixmill.names import suggestion
from pixmill.settings import Settings
from pixmill.specs import (
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GenerateSpec,
    JobOptions,
    PingSpec,
    RestoreSpec,
    Spec,
    TrainSpec,
)
from pixmill.states import State
from pixmill.times import parse_time
from scheduler.animation import require_animator, settled
from scheduler.editing import check_edit, require_editor, settled_edit
from scheduler.names import redis_url
from scheduler.plan import plan_job
from scheduler.registered import pin_registered
from scheduler.restoration import check_damage, check_restore, require_restorer
from scheduler.validation import (
    check_compress,
    check_decompress,
    check_evaluate,
    check_train,
    registered_reference,
    require_codec,
    require_generator,
    require_judge,
)

# What a job makes of or with a model, as its name says it.
_MADE = {
    "generate": "images",
    "animate": "animations",
    "edit": "edited",
    "compress": "compressed",
    "restore": "restored",
}


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What became of a submit."""

    job_id: int
    is_new: bool  # False: the key was used before, for the same spec
    broker_error: str | None  # why the scheduler could not be told; it looks by itself at its next tick


def submit(database: Database, settings: Settings, spec: Spec, options: JobOptions, *, user: str) -> Submitted:
    """Add a job, or find the one that was added under the same key.

    Raises SpecError, DatasetError, NotFound, Conflict, KeyConflict, ConfigError or DatabaseUnreachable; nothing is
    added then.
    """
    return submit_many(database, settings, [(spec, options)], user=user)[0]


def submit_many(
    database: Database, settings: Settings, requests: Sequence[tuple[Spec, JobOptions]], *, user: str
) -> list[Submitted]:
    """Add all jobs in one transaction, or none: raises as `submit` does."""
    checked = [(check_request(spec), options) for spec, options in requests]
    redis_url(settings.broker_url)  # a Redis that is away is no obstacle, an address that can never work is
    added = _add_once(database, checked, user)
    reach(CrashPoint.SUBMIT_COMMITTED)
    broker_error = _tell_scheduler(settings) if any(is_new for _job_id, is_new in added) else None
    return [Submitted(job_id=job_id, is_new=is_new, broker_error=broker_error) for job_id, is_new in added]


def check_request(spec: Spec) -> Spec:
    """Check what can be checked without the database; gives the spec with absolute paths."""
    if isinstance(spec, TrainSpec):
        return check_train(spec)
    if isinstance(spec, EvaluateSpec):
        return check_evaluate(spec)
    if isinstance(spec, CompressSpec):
        return check_compress(spec)
    if isinstance(spec, DecompressSpec):
        return check_decompress(spec)
    if isinstance(spec, RestoreSpec):
        return check_restore(spec)
    if isinstance(spec, EditSpec):
        return check_edit(spec)
    return spec


def prepare(session: Session, spec: Spec, options: JobOptions, *, user: str) -> NewJob:
    """Resolve what the spec refers to, and plan its tasks; adds nothing."""
    parents = _parents(session, options)
    if isinstance(spec, GenerateSpec):
        spec = _pin_model(session, spec, parents)
    elif isinstance(spec, AnimateSpec):
        spec = _pin_animator(session, spec, parents)
    elif isinstance(spec, EditSpec):
        spec = _pin_editor(session, spec, parents)
    elif isinstance(spec, EvaluateSpec):
        _require_output(session, spec.output, "generate", parents)
        spec = _pin_judge(session, spec, parents)
    elif isinstance(spec, CompressSpec):
        spec = spec.model_copy(update={"model": _pinned(session, spec.model, parents, require_codec)[0]})
    elif isinstance(spec, DecompressSpec):
        spec = _pin_files(session, spec, parents)
    elif isinstance(spec, RestoreSpec):
        spec = _pin_restorer(session, spec, parents)
    spec, pinned = _pin_datasets(session, spec)
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
        tasks=[replace(task, params={**task.params, **pinned}) for task in plan.tasks] if pinned else plan.tasks,
        retries=options.retries,
        retry_seconds=options.retry_seconds,
        time_limit_seconds=options.time_limit_seconds,
    )


def _add_once(database: Database, requests: Sequence[tuple[Spec, JobOptions]], user: str) -> list[tuple[int, bool]]:
    """(job id, whether it is new) of each request."""

    def act(session: Session) -> list[tuple[int, bool]]:
        present = [_present(session, spec, options) for spec, options in requests]
        missing = [request for request, job_id in zip(requests, present, strict=True) if job_id is None]
        new = [prepare(session, spec, options, user=user) for spec, options in missing]
        fresh = iter(add_jobs(session, new) if new else ())
        return [(next(fresh), True) if job_id is None else (job_id, False) for job_id in present]

    _refuse_repeated_keys(requests)
    try:
        return database.transact(act)
    except IntegrityError:
        if not any(options.key for _spec, options in requests):
            raise
        return database.transact(act)  # another submit with this key came first: now it is found


def _present(session: Session, spec: Spec, options: JobOptions) -> int | None:
    """The job that was submitted under the same key before."""
    present = find_by_key(session, options.key) if options.key else None
    if present is None:
        return None
    _require_same(session, present, spec)
    return present.id


def _refuse_repeated_keys(requests: Sequence[tuple[Spec, JobOptions]]) -> None:
    counts = Counter(options.key for _spec, options in requests if options.key)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise SpecError(f"key {repeated[0]!r} is given to {counts[repeated[0]]} jobs", hint="give each its own")


def _require_same(session: Session, present: Job, spec: Spec) -> None:
    # The model was pinned when the key was first used; by now its name may stand for a newer version.
    of_model = GenerateSpec | AnimateSpec | EditSpec | CompressSpec | DecompressSpec | RestoreSpec
    if isinstance(spec, of_model) and spec.model in _names_of_model(session, present.spec.get("model")):
        spec = spec.model_copy(update={"model": present.spec["model"]})
    if isinstance(spec, EvaluateSpec) and spec.judge in _names_of_model(session, present.spec.get("judge")):
        spec = spec.model_copy(update={"judge": present.spec.get("judge")})
    keys = [
        key
        for key in _keys_of_datasets(spec).values()
        if _is_name_of_dataset(getattr(spec, key), present.spec.get(key))
    ]
    spec = spec.model_copy(update={key: present.spec[key] for key in keys})
    of_the_model = {AnimateSpec: ("stops", "given"), EditSpec: ("classes",)}.get(type(spec), ())
    filled_in = {key: present.spec.get(key) for key in of_the_model if getattr(spec, key) is None}
    spec = spec.model_copy(update=filled_in)
    differences = _differences(present.spec, spec.model_dump(mode="json"))
    if not differences:  # a spec of an earlier version may lack a key that has its default now
        return
    raise KeyConflict(
        f"key {present.key!r} belongs to job {present.id}, which asks for something else: {'; '.join(differences)}",
        hint=f"use another --key, or look at it: pixmill job show {present.id}",
    )


def _names_of_model(session: Session, pinned: str | None) -> set[str | None]:
    """All that a person may have called the model that a spec fixes, if it fixes one."""
    if pinned is None or parse_reference(pinned).version is None:
        return {pinned}
    found = resolve_model(session, pinned)
    assert isinstance(found, ModelVersion)
    return {pinned, found.model.name, f"job:{found.job_id}"}


def _keys_of_datasets(spec: Spec) -> dict[str, str]:
    """Under which keys a spec names data sets, by what they are for."""
    keys = {TASK_KEY: "input"} if isinstance(spec, RestoreSpec) else {role: role for role in ROLES}
    return {role: key for role, key in keys.items() if getattr(spec, key, None) is not None}


def _is_name_of_dataset(name: str, present: str | None) -> bool:
    """Whether the data set of a present job was registered under the name when the job was submitted."""
    pinned = registered_reference(present or "")
    return pinned is not None and pinned.name == name


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
                f"job {job_id} has {ended(parent.state)}, so a job that waits for its success would never start",
                hint="--after-policy any starts it however the other one ended",
            )
        parents[job_id] = any_outcome
    return parents


def _pin_model(session: Session, spec: GenerateSpec, parents: dict[int, bool]) -> GenerateSpec:
    """Fix the very version that makes the images; a train job that still runs becomes a parent instead."""
    reference, version = _pinned(session, spec.model, parents, require_generator)
    if version is not None:
        _check_classes(spec, version)
    return spec.model_copy(update={"model": reference})


def _pinned(
    session: Session, reference: str, parents: dict[int, bool], require: Callable[[str, str], None]
) -> tuple[str, ModelVersion | None]:
    """The reference of the very version, and the version; that of a train job which still runs stays as it is."""
    found = resolve_model(session, reference)
    if isinstance(found, Job):
        require(reference, found.spec["model"])
        parents[found.id] = False
        return reference, None
    pinned = f"{found.model.name}@{found.version}"
    require(pinned, found.preset)
    return pinned, found


def _pin_judge(session: Session, spec: EvaluateSpec, parents: dict[int, bool]) -> EvaluateSpec:
    """Fix the very classifier that judges.  Raises SpecError if it takes no images like those of the output."""
    if spec.judge is None:
        return spec
    reference, judge = _pinned(session, spec.judge, parents, require_judge)
    maker = resolve_model(session, get_job(session, spec.output).spec["model"])
    if judge is not None and isinstance(maker, ModelVersion):
        taken, made = (f"{one.image_size}×{one.image_size}×{one.channels}" for one in (judge, maker))
        if taken != made:
            raise SpecError(
                f"judge {reference} takes images of {taken}, and those of job {spec.output} are of {made}",
                hint="choose a classifier that was trained on such images",
            )
    return spec.model_copy(update={"judge": reference})


def _pin_files(session: Session, spec: DecompressSpec, parents: dict[int, bool]) -> DecompressSpec:
    if spec.output is not None:
        _require_output(session, spec.output, "compress", parents)
        return spec
    assert spec.model is not None  # checked with the request
    return spec.model_copy(update={"model": _pinned(session, spec.model, parents, require_codec)[0]})


def _pin_datasets(session: Session, spec: Spec) -> tuple[Spec, dict[str, Any]]:
    """Fix the very data that registered names stand for; gives what each task is told of them."""
    keys = _keys_of_datasets(spec)
    found = {role: pin_registered(session, getattr(spec, key)) for role, key in keys.items()}
    pinned = {role: dataset for role, dataset in found.items() if dataset is not None}
    changed = spec.model_copy(update={keys[role]: dataset.reference for role, dataset in pinned.items()})
    return changed, {role: dataset.model_dump(mode="json") for role, dataset in pinned.items()}


def _pin_animator(session: Session, spec: AnimateSpec, parents: dict[int, bool]) -> AnimateSpec:
    """Fix the version as `_pin_model` does, and what of the spec depends on it."""
    reference, version, trained = _pinned_as_trained(session, spec.model, parents, require_animator)
    spec = settled(spec.model_copy(update={"model": reference}), trained)
    if version is not None:
        _check_classes(spec, version)
    return spec


def _pin_restorer(session: Session, spec: RestoreSpec, parents: dict[int, bool]) -> RestoreSpec:
    """Fix the version as `_pin_model` does, once what it was trained on allows what is asked for."""
    reference, _version, trained = _pinned_as_trained(session, spec.model, parents, require_restorer)
    spec = spec.model_copy(update={"model": reference})
    check_damage(spec, trained)
    return spec


def _pin_editor(session: Session, spec: EditSpec, parents: dict[int, bool]) -> EditSpec:
    """Fix the version, and what of the spec depends on it."""
    require = partial(require_editor, spec.way)
    reference, version, trained = _pinned_as_trained(session, spec.model, parents, require)
    spec = settled_edit(spec.model_copy(update={"model": reference}), trained, version)
    if version is not None:
        _check_classes(spec, version)
    return spec


def _pinned_as_trained(
    session: Session, reference: str, parents: dict[int, bool], require: Callable[[str, str], None]
) -> tuple[str, ModelVersion | None, TrainSpec]:
    """What `_pinned` gives, and how the model was, or is, trained."""
    pinned, version = _pinned(session, reference, parents, require)
    found = resolve_model(session, reference) if version is None else get_job(session, version.job_id)
    assert isinstance(found, Job)
    return pinned, version, TrainSpec.model_validate(found.spec)


def _check_classes(spec: GenerateSpec | AnimateSpec | EditSpec, version: ModelVersion) -> None:
    for name in spec.classes or ():
        if not version.classes:
            raise SpecError(
                f"model {version.model.name}@{version.version} knows no classes; {name!r} was asked for",
                hint="train it with --conditional",
            )
        if name not in version.classes:
            known = [str(known) for known in version.classes]
            raise SpecError(f"the model has no class {name!r}", hint=suggestion(name, known))


def _require_output(session: Session, job_id: int, kind: str, parents: dict[int, bool]) -> None:
    output = get_job(session, job_id)
    if output.kind != kind:
        act = "evaluate judges the images" if kind == "generate" else "decompress reads the files"
        raise UserError(f"job {output.id} is of kind {output.kind}; {act} of a {kind} job")
    if output.state in (State.FAILED, State.CANCELLED):
        raise Conflict(f"job {output.id} has {ended(output.state)}; its output is not complete")
    if output.state is not State.SUCCEEDED:
        parents[output.id] = False


def _default_name(spec: Spec) -> str:
    match spec:
        case TrainSpec():
            registered = registered_reference(spec.dataset)
            if registered is not None:
                return f"{spec.model}-{registered.name}"[:100]
            dataset = spec.dataset.rstrip("/").rsplit("/", 1)[-1].rpartition(":")[2] or "data"
            safe = re.sub(r"[^A-Za-z0-9._-]", "-", dataset)  # a name that a model reference can hold
            return f"{spec.model}-{safe}"[:100]
        case EvaluateSpec():
            return f"judge-{spec.output}"
        case DecompressSpec():
            return f"decompressed-{spec.output or 'files'}"
        case PingSpec():
            return "ping"
        case _:
            return f"{spec.model.partition('@')[0].replace(':', '-')}-{_MADE[spec.kind]}"[:100]


def _tell_scheduler(settings: Settings) -> str | None:
    from scheduler.broker import poke  # redis costs 80 ms to import, and a dry run never needs it

    try:
        poke(settings)
    except BrokerUnreachable as error:
        return error.message
    return None
