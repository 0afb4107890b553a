"""Jobs that do not get on: their workers are gone, their queue is closed, what they wait for never comes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, problem, warning
from client.fleet import Member
from client.wording import age, plural

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.diagnosis import QueueLoad
    from db.tables.jobs import Queue

PART = "jobs"
SHOWN = 5  # ids that a line names


def examine_jobs(session: "Session", fleet: Sequence[Member], at: datetime) -> Iterator[Finding]:
    """All of it, from one state of the database."""
    from db.diagnosis import queue_loads
    from db.views import list_queues

    loads = queue_loads(session)
    running = sum(load.running for load in loads.values())
    waiting = sum(load.waiting for load in loads.values())
    yield ok(PART, f"{plural(running, 'task')} running, {waiting:,} waiting")
    yield from _stranded(session, at)
    yield from _failed(session)
    yield from _hopeless(session)
    yield from _without_device(session, fleet)
    yield from _queues([line.queue for line in list_queues(session)], loads)


def _stranded(session: "Session", at: datetime) -> Iterator[Finding]:
    from db.diagnosis import stranded_tasks

    for task in stranded_tasks(session)[:SHOWN]:
        detail = f"job {task.job_id} runs under worker {task.worker}, which ended {age(task.ended_at, at)} ago"
        yield problem(PART, detail, "a running scheduler takes it back: pixmill scheduler run")


def _failed(session: "Session") -> Iterator[Finding]:
    from db.diagnosis import failures_since

    failures = failures_since(session, 24.0)
    if failures:
        reasons = ", ".join(f"{count} {reason}" for reason, count in failures.items())
        detail = f"{plural(sum(failures.values()), 'job')} failed within a day: {reasons}"
        yield warning(PART, detail, "pixmill ps --all --state failed")


def _hopeless(session: "Session") -> Iterator[Finding]:
    from db.dependencies import doomed_jobs
    from db.diagnosis import held_jobs, jobs_behind_held

    doomed = doomed_jobs(session)
    if doomed:
        job_id, parent_id = doomed[0]
        detail = f"{_names(doomed)} for jobs that have failed or were cancelled, such as job {parent_id}"
        yield problem(PART, detail, f"pixmill job retry {parent_id}, or pixmill cancel {job_id}")
    behind = jobs_behind_held(session)
    if behind:
        parent_id = behind[0][1]
        detail = f"{_names(behind)} for jobs that are held, such as job {parent_id}"
        yield warning(PART, detail, f"pixmill job release {parent_id}")
    held = held_jobs(session)
    if held:
        yield ok(PART, f"{plural(held, 'job')} held by an operator: pixmill ps --state held")


def _names(pairs: Sequence[tuple[int, int]]) -> str:
    ids = ", ".join(str(job_id) for job_id, _parent_id in pairs[:SHOWN])
    more = f" and {len(pairs) - SHOWN:,} more" if len(pairs) > SHOWN else ""
    return f"job {ids} waits" if len(pairs) == 1 else f"jobs {ids}{more} wait"


def _without_device(session: "Session", fleet: Sequence[Member]) -> Iterator[Finding]:
    from db.claims import slot_of
    from db.diagnosis import waiting_needs

    served = [slot_of(member.worker) for member in fleet if member.is_present]
    for (kind, devices), count in waiting_needs(session).items():
        if any(slot.takes(kind, devices) for slot in served):
            continue
        if devices > 1:
            several = f"{devices} {kind} devices" if kind else f"{devices} devices"
            detail = f"{plural(count, 'task')} can run on {several} alone, and no worker owns so many"
            start = f"pixmill worker start --device {kind or 'cuda'}:0-{devices - 1}"
            yield problem(PART, detail, f"on a host that has them: {start}")
        elif kind is not None:
            detail = f"{plural(count, 'task')} can run on {kind.value} alone, and no {kind.value} worker runs"
            yield problem(PART, detail, f"on a host that has one: pixmill worker start --device {kind.value}")


def _queues(queues: Sequence["Queue"], loads: Mapping[str, "QueueLoad"]) -> Iterator[Finding]:
    for queue in queues:
        load = loads.get(queue.name)
        if load is None or not load.waiting:
            continue
        waiting = f"{plural(load.waiting, 'task')} {'waits' if load.waiting == 1 else 'wait'}"
        if queue.paused:
            why = f" ({queue.paused_reason})" if queue.paused_reason else ""
            yield warning("queues", f"{queue.name} is paused{why}, {waiting}", f"pixmill queue resume {queue.name}")
        elif queue.max_running is not None and load.running >= queue.max_running:
            yield ok("queues", f"{queue.name} is at its limit of {queue.max_running} running, {waiting}")
