"""The values of all metrics, read from the database in one look."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from client.fleet import STATES, Member, read_fleet
from client.monitoring.families import FAMILIES, Readings, Sample
from pixmill import __version__
from pixmill.errors import PixmillError
from pixmill.schedules import RunOutcome
from pixmill.settings import Settings
from pixmill.states import FailureReason, State

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from db.engine import Database
    from db.schedules import ScheduleLine
    from db.tables.fleet import Scheduler
    from db.totals import Sum

MOST = 200  # of queues, schedules, models, hosts: what anybody may make has no more values than this
REST = "other"  # the queues beyond
REMEMBERED = timedelta(days=1)  # for so long a worker or scheduler that is gone is told of
LOST = "lost"
_SUBMITTED = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.CANCELLED: "cancelled"}  # else: running
_NOTIFICATIONS = ("waiting", "sent", "failed", "skipped")


def silence() -> Readings:
    """What is told when the database does not answer."""
    return {"build_info": [Sample((__version__,), 1)], "database_up": [Sample((), 0)]}


def read(database: "Database", settings: Settings) -> Readings:
    """All that can be told.  Raises DatabaseUnreachable."""
    from db.schema import SchemaStatus, schema_state

    began = time.perf_counter()
    schema = schema_state(database)
    is_current = schema.status is SchemaStatus.OK
    found: dict[str, Sequence[Sample]] = {
        "build_info": [Sample((__version__,), 1)],
        "database_up": [Sample((), 1)],
        "schema_current": [Sample((schema.current or "", schema.head), is_current)],
    }
    if is_current:  # of another schema nobody knows what a question would mean
        with database.read() as session:
            found |= _of_session(session, settings)
    found |= _of_disk(settings)
    found["scrape_duration_seconds"] = [Sample((), time.perf_counter() - began)]
    return found


def _of_session(session: "Session", settings: Settings) -> dict[str, Sequence[Sample]]:
    from db.workers import database_time

    at, lease_seconds = database_time(session), settings.scheduler.lease_seconds
    return {
        **_of_schedulers(session, at, lease_seconds),
        **_of_devices(session, at, lease_seconds),
        **_of_tasks(session),
        **_of_totals(session),
        **_of_schedules(session, at),
        **_of_notifications(session),
        **_of_models(session),
    }


def _of_schedulers(session: "Session", at: "datetime", lease_seconds: float) -> dict[str, Sequence[Sample]]:
    from db.diagnosis import running_schedulers
    from db.workers import is_silent

    known = [row for row in running_schedulers(session) if at - row.seen_at < REMEMBERED]
    alive = [row for row in known if not is_silent(row.seen_at, at, lease_seconds)]
    latest: dict[str, Scheduler] = {}
    for row in known:  # the one that was seen last comes first
        latest.setdefault(row.host, row)
    ages = [Sample((host,), _seconds(at, row.seen_at)) for host, row in latest.items()]
    return {
        "schedulers_alive": [Sample((), len(alive))],
        "scheduler_heartbeat_age_seconds": ages[:MOST],
        "broker_up": [Sample((), not any(row.broker_error for row in alive))] if alive else [],
    }


def _seconds(at: "datetime", when: "datetime") -> float:
    return max(0.0, (at - when).total_seconds())


def _of_devices(session: "Session", at: "datetime", lease_seconds: float) -> dict[str, Sequence[Sample]]:
    states = {
        member: _state(member, lease_seconds)
        for member in read_fleet(session, lease_seconds)
        if at - member.worker.seen_at < REMEMBERED
    }
    counted = Counter(states.values())
    shown = [(member, _device(member)) for member in list(states)[:MOST]]
    present = [(member, labels) for member, labels in shown if member.is_present]
    return {
        "devices": [Sample((state,), counted[state]) for state in (*STATES, LOST)],
        "device_state": [
            Sample((*labels, member.worker.device.kind.value, states[member]), 1) for member, labels in shown
        ],
        "worker_heartbeat_age_seconds": [
            Sample(labels, member.seconds_silent) for member, labels in shown if states[member] != "down"
        ],
        "device_utilisation_ratio": list(_known((labels, member.worker.utilisation) for member, labels in present)),
        "device_memory_used_bytes": list(
            _known((labels, member.worker.memory_used_bytes) for member, labels in present)
        ),
        "device_memory_bytes": [Sample(labels, member.worker.device.memory_bytes) for member, labels in present],
    }


def _known(values: Iterable[tuple[Sequence[str], float | None]]) -> Iterator[Sample]:
    return (Sample(labels, value) for labels, value in values if value is not None)


def _device(member: Member) -> tuple[str, str]:
    return member.worker.device.host, member.worker.device.name


def _state(member: Member, lease_seconds: float) -> str:
    """What the device does; a worker that said good-bye did so right after a heartbeat, others were given up."""
    worker = member.worker
    if worker.stopped_at is not None and (worker.stopped_at - worker.seen_at).total_seconds() >= lease_seconds:
        return LOST
    return member.state


def _of_tasks(session: "Session") -> dict[str, Sequence[Sample]]:
    from db.gauges import active, line, startable
    from db.queues import queue_names

    waiting, running = line(session), active(session)
    queues = queue_names(session)
    names = {name: name if place < MOST else REST for place, name in enumerate(sorted(queues))}
    states: Counter[tuple[str, str]] = Counter(
        {(name, state): 0 for name in names.values() for state in ("pending", "held", "queued", "running")}
    )
    reasons: Counter[tuple[str, str]] = Counter()
    roles: Counter[tuple[str, str, str]] = Counter()
    for each in waiting.waiting:
        queue = names.get(each.queue, REST)
        states[queue, "held" if each.reason == "Held" else "pending"] += each.tasks
        reasons[queue, each.reason] += each.tasks
    for (state, queue_name, role), count in running.items():
        queue = names.get(queue_name, REST)
        states[queue, state.value] += count
        roles[queue, role.value, state.value] += count
    ages: dict[str, float] = {}
    for queue_name, age in waiting.ages.items():
        queue = names.get(queue_name, REST)
        ages[queue] = max(age, ages.get(queue, 0.0))
    return {
        "tasks": _samples(states),
        "tasks_active": _samples(roles),
        "tasks_waiting": _samples(reasons),
        "tasks_startable": [Sample((), startable(session))],
        "queue_oldest_waiting_age_seconds": [
            Sample((queue,), ages.get(queue, 0.0)) for queue in dict.fromkeys(names.values())
        ],
        "queue_paused": [Sample((name,), paused) for name, paused in sorted(queues.items())[:MOST]],
    }


def _samples(counts: Mapping[Any, float]) -> list[Sample]:
    """Of each tuple of labels, in their order."""
    return [Sample(labels, count) for labels, count in sorted(counts.items())]


def _of_totals(session: "Session") -> dict[str, Sequence[Sample]]:
    from db.totals import is_complete, read_totals

    is_whole = is_complete(session)
    found: dict[str, Sequence[Sample]] = {"totals_complete": [Sample((), is_whole)]}
    if is_whole:
        totals = read_totals(session)
        for family in FAMILIES:
            if family.kind == "counter":
                found[family.name] = _counted(family.labels, family.name, totals.get(family.name, ()))
    return found


def _counted(names: Sequence[str], family: str, sums: "Sequence[Sum]") -> list[Sample]:
    """The counts; those which may come are 0 from the beginning, so that a first one is seen to be more."""
    counts = dict.fromkeys(_possible(family), 0)
    counts |= {tuple(each.labels[name] for name in names): each.value for each in sums}
    return _samples(counts)


def _possible(family: str) -> Iterator[tuple[str, ...]]:
    from db.tables.jobs import Outcome, Role
    from db.totals import IMAGE_ROLES
    from pixmill.specs import KINDS

    if family == "jobs_submitted":
        yield from ((kind,) for kind in KINDS)
    elif family == "jobs_ended":
        for kind in KINDS:
            yield from ((kind, state.value, "") for state in (State.SUCCEEDED, State.CANCELLED))
            yield from ((kind, State.FAILED.value, reason.value) for reason in FailureReason)
    elif family == "attempts_started":
        yield from ((role.value,) for role in Role)
    elif family == "attempts_ended":
        yield from ((role.value, outcome.value) for role in Role for outcome in Outcome)
    elif family == "images_written":
        yield from ((role.value,) for role in IMAGE_ROLES)
    elif family == "notifications_given_up":
        yield ()


def _of_schedules(session: "Session", at: "datetime") -> dict[str, Sequence[Sample]]:
    from db.gauges import timetables
    from db.schedules import schedule_lines

    tables = timetables(session, MOST)
    lines = [line for line in schedule_lines(session, [table.name for table in tables]) if line.last is not None]
    return {
        "schedule_late_seconds": [Sample((table.name,), table.late) for table in tables],
        "schedule_last_success_age_seconds": list(_known(((table.name,), table.success_age) for table in tables)),
        "schedule_last_run": [Sample((line.schedule.name, _result(line)), 1) for line in lines],
        "schedule_last_run_age_seconds": [
            Sample((line.schedule.name,), _seconds(at, line.last.run.scheduled_for)) for line in lines if line.last
        ],
    }


def _result(line: "ScheduleLine") -> str:
    assert line.last is not None
    if line.last.pipeline is not None:
        return line.last.pipeline.state.value
    if line.last.run.outcome is not RunOutcome.SUBMITTED:
        return line.last.run.outcome.value
    return "gone" if line.last.job_state is None else _SUBMITTED.get(line.last.job_state, "running")


def _of_notifications(session: "Session") -> dict[str, Sequence[Sample]]:
    from db.notifications import tally

    numbers = tally(session)
    return {
        "notifications": [Sample((state,), getattr(numbers, state)) for state in _NOTIFICATIONS],
        "notifications_undelivered": [Sample((), numbers.undelivered)],
    }


def _of_models(session: "Session") -> dict[str, Sequence[Sample]]:
    from db.gauges import champion_ages

    return {"champion_age_seconds": [Sample((model,), age) for model, age in champion_ages(session, MOST).items()]}


def _of_disk(settings: Settings) -> dict[str, Sequence[Sample]]:
    """Nothing where the storage root cannot be looked at from here."""
    from storage.disk import file_system

    try:
        free, size = file_system(settings.storage_root)
    except PixmillError:
        return {}
    return {"storage_free_bytes": [Sample((), free)], "storage_bytes": [Sample((), size)]}
