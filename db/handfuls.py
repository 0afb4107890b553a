"""Short tasks that go through the line together: claimed by one set of statements, and ended by one.

Where a task takes a millisecond, most of what it costs are transactions of its own. What stands here does for many
tasks what `db.claims.claim` and `db.leases.finish` do for one, and leaves the same rows; what is out of the ordinary
goes their way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from db.claims import (
    CLAIMED,
    FACTS,
    WITH_JOB_AND_QUEUE,
    claim,
    claimable,
    new_attempt,
    new_lease,
    queued_statement,
    slot_of,
)
from db.corrupt import of_task, sound_rows
from db.dependencies import unblock_children_of_job, unblock_children_of_task
from db.leases import MINE, MY_ATTEMPT, Lease, finish, lease_key
from db.moves import STARTED, THESE_JOBS, THESE_TASKS, LockedJob, add_events, job_event, lock_jobs, task_event
from db.order import ready_tasks
from db.statements import fetch, insert_rows, update_all, update_each
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Job, Outcome, Role, Task
from db.types import now
from pixmill.errors import LeaseLost
from pixmill.states import State

_tasks: Any = Task.__table__
_jobs: Any = Job.__table__
_attempts: Any = Attempt.__table__
_NOW = now()
_WAITS = or_(_tasks.c.state == State.PENDING, _tasks.c.state == State.QUEUED)


@dataclass(frozen=True, kw_only=True)
class Success:
    """A task that has done its work, and what it brings: as for `finish`."""

    lease: Lease
    done: int  # images
    result: Mapping[str, Any] | None = None
    publish: Callable[[Session], Mapping[str, Any]] | None = None


def claim_alike(
    session: Session, worker: Worker, role: Role, count: int, folder: Callable[..., str], *, patient: bool = True
) -> list[Lease]:
    """Claim what waits for this device, best first: up to `count` tasks, as long as they are plain ones of this role.

    Where the first is not plain, that one alone. A plain task runs for the first time, in a queue and an array without
    limits: what may have taken down a worker is held together with no other.  `folder` and `patient` are those of
    `claim`.
    """
    chosen = list(takewhile(lambda row: _is_plain(row, role), _next_facts(session, worker, count))) if count > 1 else []
    leases = _claim_rows(session, worker, chosen, folder) if chosen else []
    if leases:
        return leases
    lease = claim(session, worker, None, folder, patient=patient)
    return [] if lease is None else [lease]


def _next_facts(session: Session, worker: Worker, count: int) -> Iterator[Any]:
    """The facts of the tasks that come next, best first, whose jobs nobody else has locked."""
    slot = slot_of(worker)
    ids = [row.id for row in fetch(session, queued_statement(), {"count": count, **slot._asdict()})]
    if len(ids) < count:
        ids += [ready.task_id for ready in ready_tasks(session, slot, count - len(ids))]
    if not ids:
        return iter(())
    found = {row.id: row for row in sound_rows(session, _facts_statement(), {"task_ids": ids}, of_task(session))}
    return (found[task_id] for task_id in ids if task_id in found)


@cache
def _facts_statement() -> "Select[Any]":
    # The tasks are locked too: then PostgreSQL looks at them again as they are now, not as they were at the beginning.
    columns = (_tasks.c.id, _tasks.c.state, _tasks.c.lease_epoch, *FACTS)
    facts = select(*columns).select_from(WITH_JOB_AND_QUEUE).where(THESE_TASKS, _WAITS)
    return facts.with_for_update(key_share=True, of=(_jobs, _tasks), skip_locked=True)


def _is_plain(row: Any, role: Role) -> bool:
    has_limit = row.max_running is not None or row.max_running_per_user is not None or row.limited_by is not None
    is_free = not has_limit and not row.paused
    return is_free and row.role is role and row.lease_epoch == 0 and not row.cancel_requested


def _claim_rows(session: Session, worker: Worker, rows: Sequence[Any], folder: Callable[..., str]) -> list[Lease]:
    """Claim those tasks that can still be had."""
    where = (THESE_TASKS, _WAITS, *claimable(worker.id, slot_of(worker)))
    values = {**CLAIMED, "state": State.RUNNING, "worker_id": worker.id}
    which = {"task_ids": [row.id for row in rows]}
    moved = update_all(session, _tasks, where, values, which, (_tasks.c.id, _tasks.c.lease_epoch))
    epochs = {row.id: row.lease_epoch for row in moved}
    mine = [row for row in rows if row.id in epochs]
    starting = sorted({row.job_id for row in mine if row.job_state is not State.RUNNING})
    if starting:
        running = {"state": State.RUNNING, "started_at": STARTED}
        update_all(session, _jobs, THESE_JOBS, running, {"job_ids": starting})
    claimed = (worker.name, "claim", None)
    add_events(session, [task_event(*claimed, row.job_id, row.id, row.state, State.RUNNING) for row in mine])
    leases = [new_lease(session, row, worker, row.id, epochs[row.id], folder) for row in mine]
    insert_rows(session, _attempts, [new_attempt(lease) for lease in leases])
    return leases


def succeed_all(session: Session, successes: Sequence[Success]) -> None:
    """End the leases of tasks that have succeeded.

    Raises LeaseLost when one of them is no longer held or had ended before: then nothing of all this may stay, and
    `finish` says of each how it stands. Raises what a `publish` raises.
    """
    jobs = lock_jobs(session, [success.lease.job_id for success in successes])
    plain: list[Success] = []
    for success in successes:
        if _ends_plainly(success, jobs):
            plain.append(success)
        else:
            succeed(session, success)
    _end_rows(session, plain, jobs)


def succeed(session: Session, success: Success) -> None:
    """End one lease.  Raises as `finish`."""
    finish(
        session,
        success.lease,
        Outcome.SUCCEEDED,
        done=success.done,
        result=success.result,
        publish=success.publish,
    )


def _ends_plainly(success: Success, jobs: Mapping[int, LockedJob]) -> bool:
    """Whether nothing has to be known but that it succeeded."""
    job = jobs.get(success.lease.job_id)
    return success.publish is None and success.result is not None and job is not None and job.has_one_task


def _end_rows(session: Session, successes: Sequence[Success], jobs: Mapping[int, LockedJob]) -> None:
    if not successes:
        return
    ended = {"state": State.SUCCEEDED, "finished_at": _NOW, "reason": None, "message": None}
    rows = [
        (lease_key(success.lease), {"progress_done": success.done, "result": success.result}) for success in successes
    ]
    if update_each(session, _tasks, MINE, {**ended, "stop_to": None}, rows) != len(successes):
        raise LeaseLost(f"of {len(successes)} tasks that have ended some are no longer held")
    leases = [success.lease for success in successes]
    closed = {"outcome": Outcome.SUCCEEDED, "reason": None, "message": None, "finished_at": _NOW}
    update_each(session, _attempts, MY_ATTEMPT, closed, [(lease_key(lease), {}) for lease in leases])
    update_all(session, _jobs, THESE_JOBS, ended, {"job_ids": [lease.job_id for lease in leases]})
    add_events(session, [event for lease in leases for event in _end_events(lease, jobs[lease.job_id])])
    for lease in leases:
        if jobs[lease.job_id].is_waited_for:
            unblock_children_of_task(session, lease.task_id)
            unblock_children_of_job(session, lease.job_id)


def _end_events(lease: Lease, job: LockedJob) -> Iterator[Mapping[str, Any]]:
    end = (lease.worker_name, Outcome.SUCCEEDED.value, None)
    yield task_event(*end, lease.job_id, lease.task_id, State.RUNNING, State.SUCCEEDED)
    yield job_event(lease.worker_name, job, State.SUCCEEDED)
