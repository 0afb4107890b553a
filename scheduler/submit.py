"""Submit: check a request, add its rows in one transaction, and tell the scheduler.

The row is the outbox. Once the transaction is committed the job cannot be lost, whether Redis is up or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.arrays import array_states
from db.engine import Database
from db.finding import get_job
from db.jobs import NewJob, add_jobs, ended
from db.tables.fleet import DeviceKind
from db.versions import hold_versions
from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import BrokerUnreachable, Conflict
from pixmill.kinds import devices_of
from pixmill.modelkeys import models_of
from pixmill.settings import Settings
from pixmill.specs import JobOptions, Spec
from pixmill.states import State
from pixmill.times import parse_time
from pixmill.traces import given_trace_parent
from scheduler.aliases import aliases_param, submit_note
from scheduler.certificates import tls_options
from scheduler.groups import Group, Request, as_array, refuse_too_many_edges
from scheduler.keys import present_jobs, refuse_repeated_keys
from scheduler.kinds import kind_of
from scheduler.pace import pace_of
from scheduler.pinning import Parents
from scheduler.registered import pin_datasets
from scheduler.validation import check_outputs


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


def submit_many(database: Database, settings: Settings, requests: Sequence[Request], *, user: str) -> list[Submitted]:
    """Add all jobs in one transaction, or none: raises as `submit` does."""
    return submit_groups(database, settings, [Group(requests=[request]) for request in requests], user=user)


def submit_groups(database: Database, settings: Settings, groups: Sequence[Group], *, user: str) -> list[Submitted]:
    """Add the jobs of all groups in one transaction, or none; gives what became of each job, in order.

    Raises as `submit` does.
    """
    checked = [check_group(group) for group in groups]
    for spec, _options in (request for group in checked for request in group.requests):
        check_outputs(spec, settings.storage.outputs)
    tls_options(settings)  # a Redis that is away is no obstacle, an address or a file that can never work is
    added = _add_once(database, checked, user)
    reach(CrashPoint.SUBMIT_COMMITTED)
    broker_error = _tell_scheduler(settings) if any(is_new for _job_id, is_new in added) else None
    return [Submitted(job_id=job_id, is_new=is_new, broker_error=broker_error) for job_id, is_new in added]


def check_request(spec: Spec) -> Spec:
    """Check what can be checked without the database; gives the spec with absolute paths."""
    checked: Spec = kind_of(spec).check(spec)
    return checked


def check_group(group: Group) -> Group:
    """As `check_request`, of all jobs of a group."""
    return replace(group, requests=[(check_request(spec), options) for spec, options in group.requests])


def prepare(session: Session, spec: Spec, options: JobOptions, *, user: str) -> NewJob:
    """Resolve what the spec refers to, and plan its tasks; adds nothing."""
    kind = kind_of(spec)
    parents = _parents(session, options)
    asked = spec
    spec, pinned = pin_datasets(session, kind.pin(session, asked, parents), kind.datasets)
    name = options.name or kind.default_name(spec)
    pinned |= {**aliases_param(asked, spec), **kind.params(session, spec, name)}
    device_kind = None if options.device == "any" else DeviceKind(options.device)
    plan = kind.plan(spec, partial(pace_of, session, spec, device_kind))
    stored = spec.model_dump(mode="json")
    return NewJob(
        kind=spec.kind,
        name=name,
        spec=stored,
        spec_digest=spec.digest(),
        options=options.model_dump(mode="json", exclude_defaults=True),
        queue=options.queue,
        priority=options.priority,
        device_kind=device_kind,
        devices=devices_of(stored),
        key=options.key,
        labels=options.labels,
        user_name=user,
        begin_at=parse_time(options.begin) if options.begin else None,
        hold=options.hold,
        parents=parents,
        progress_total=plan.images,
        note=submit_note(pinned, list(models_of(stored))),
        tasks=[replace(task, params={**task.params, **pinned}) for task in plan.tasks] if pinned else plan.tasks,
        retries=options.retries,
        retry_seconds=options.retry_seconds,
        time_limit_seconds=options.time_limit_seconds,
        trace_parent=given_trace_parent(),
    )


def add_prepared(session: Session, new: Sequence[NewJob]) -> list[int]:
    """Add what `prepare` gave, in its transaction; gives the ids in the same order.

    The versions that the jobs name are kept from being removed until it ends. Raises Conflict when one was removed
    since it was chosen.
    """
    hold_versions(session, [name for job in new for name in models_of(job.spec)])
    return add_jobs(session, new) if new else []


def prepare_group(session: Session, group: Group, *, user: str) -> list[NewJob]:
    """As `prepare`, of all jobs of a group."""
    new: list[NewJob] = []
    for spec, options in group.requests:
        new.append(prepare(session, spec, options, user=user))
        refuse_too_many_edges(len(new[-1].parents), len(group.requests))
    return as_array(group, new, user=user)


def _add_once(database: Database, groups: Sequence[Group], user: str) -> list[tuple[int, bool]]:
    """(job id, whether it is new) of each request."""

    def act(session: Session) -> list[tuple[int, bool]]:
        present = [present_jobs(session, group) for group in groups]
        missing = [group for group, found in zip(groups, present, strict=True) if found is None]
        new = [job for group in missing for job in prepare_group(session, group, user=user)]
        fresh = iter(add_prepared(session, new))
        added: list[tuple[int, bool]] = []
        for group, found in zip(groups, present, strict=True):
            ids = [next(fresh) for _request in group.requests] if found is None else found
            added += [(job_id, found is None) for job_id in ids]
        return added

    refuse_repeated_keys(groups)
    try:
        return database.transact(act)
    except IntegrityError:
        if not any(group.key for group in groups):
            raise
        return database.transact(act)  # another submit with this key came first: now it is found


def _parents(session: Session, options: JobOptions) -> Parents:
    any_outcome = options.after_policy == "any"
    named = [job_id for job_id in options.after if isinstance(job_id, int)]
    parents = {job_id: get_job(session, job_id).state for job_id in named}
    for array_id in options.arrays_before:
        parents |= array_states(session, array_id)
    lost = next((job_id for job_id, state in parents.items() if state in (State.FAILED, State.CANCELLED)), None)
    if lost is not None and not any_outcome:
        raise Conflict(
            f"job {lost} has {ended(parents[lost])}, so a job that waits for its success would never start",
            hint="--after-policy any starts it however the other one ended",
        )
    return dict.fromkeys(parents, any_outcome)


def _tell_scheduler(settings: Settings) -> str | None:
    from scheduler.broker import poke  # redis costs 80 ms to import, and a dry run never needs it

    try:
        poke(settings)
    except BrokerUnreachable as error:
        return error.message
    return None
