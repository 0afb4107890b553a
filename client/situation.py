"""What the reasons of jobs depend on: queues, devices, scheduler, and what the jobs' own tasks do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from client.fleet import Member, read_fleet
from pixmill.states import FailureReason

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.lanes import ArrayLoad
    from db.listing import JobLine
    from db.reasons import Ahead, Unfinished
    from db.tables.jobs import Event, Queue

SHOWN_PARENTS = 12
HOLDING_ACTIONS = ("hold", "requeue --hold", "submit")
CANCELLING_ACTIONS = ("cancel", "cancel --force")


@dataclass(frozen=True, kw_only=True)
class Situation:
    """How things stood at one moment; what is too dear for a list of jobs is read for one job alone."""

    at: datetime  # by the database's clock
    queues: Mapping[str, "Queue"]
    active: Mapping[tuple[str, str], int]  # (queue, user) → tasks that run, or are about to
    promised: Mapping[str | None, int]  # kind of device, None for any → tasks whose wake-up is on its way
    fleet: Sequence[Member]
    scheduler_is_present: bool
    broker_error: str | None
    unfinished: Mapping[int, "Unfinished"]  # by job
    arrays: Mapping[int, "ArrayLoad"]  # of the jobs
    parents: Mapping[int, "JobLine"] = field(default_factory=dict)  # jobs that one job waits for
    ahead: "Ahead | None" = None
    held_by: "Event | None" = None
    cancelled_by: "Event | None" = None


def read_situation(session: "Session", lease_seconds: float, lines: Sequence["JobLine"]) -> Situation:
    """Look at all that may keep these jobs waiting.  Raises DatabaseUnreachable."""
    from db.lanes import array_loads
    from db.order import active_tasks, waiting_wake_ups
    from db.reasons import all_queues, read_unfinished
    from db.workers import database_time, is_silent, latest_scheduler

    at = database_time(session)
    scheduler = latest_scheduler(session)
    present = scheduler is not None and scheduler.stopped_at is None
    present = present and scheduler is not None and not is_silent(scheduler.seen_at, at, lease_seconds)
    promised: Counter[str | None] = Counter()
    for (kind, _devices), count in waiting_wake_ups(session).items():
        promised[kind.value if kind else None] += count
    return Situation(
        at=at,
        queues=all_queues(session),
        active=active_tasks(session),
        promised=promised,
        fleet=read_fleet(session, lease_seconds, at),
        scheduler_is_present=present,
        broker_error=scheduler.broker_error if present and scheduler is not None else None,
        arrays=array_loads(session, [line.job.array_id for line in lines if line.job.array_id is not None]),
        unfinished=read_unfinished(session, [line.job.id for line in lines if not line.job.state.is_terminal]),
    )


def read_closely(session: "Session", lease_seconds: float, line: "JobLine") -> Situation:
    """The situation with all that can be said about one job."""
    from db.listing import job_line
    from db.reasons import last_event, read_ahead, read_lost_parents

    situation = read_situation(session, lease_seconds, [line])
    unfinished = situation.unfinished.get(line.job.id)
    lost = unfinished.lost_parents if unfinished else ()
    if line.job.reason == FailureReason.DEPENDENCY:
        lost = read_lost_parents(session, line.job.id)
    parents = [*lost, *line.waits_for][:SHOWN_PARENTS]
    return replace(
        situation,
        parents={parent_id: job_line(session, parent_id) for parent_id in parents},
        ahead=read_ahead(session, line.job.id) if unfinished else None,
        held_by=last_event(session, line.job.id, HOLDING_ACTIONS),
        cancelled_by=last_event(session, line.job.id, CANCELLING_ACTIONS),
    )
