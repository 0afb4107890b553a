"""Is everything there that jobs need? Each part is asked on its own, and none may keep the others waiting."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.answers import Answer
from client.fleet import Member, read_fleet, tally
from client.wording import age, size
from client.workspace import Workspace
from pixmill.errors import PixmillError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables.jobs import Queue
    from pixmill.settings import Settings

ANSWER_SECONDS = 1.0  # the start of the program takes the other one of the two seconds
QUOTA_SECONDS = 0.5  # for counting what lies below runs/: doctor and gc plan take the time they need
LOW_DISK_BYTES = 1_000_000_000
_QUEUE_STATES = ("running", "queued", "pending", "held")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One part: `ok`, or a word that says what is wrong."""

    part: str
    state: str
    detail: str
    hint: str | None = None
    is_ok: bool = True


@dataclass(frozen=True, kw_only=True)
class Health:
    """All parts, and the devices."""

    checks: Sequence[Check]
    fleet: Sequence[Member] = field(default=())

    @property
    def is_ok(self) -> bool:
        """Whether nothing needs attention."""
        return all(check.is_ok for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The screen as JSON."""
        checks = [
            {"part": check.part, "ok": check.is_ok, "state": check.state, "detail": check.detail, "hint": check.hint}
            for check in self.checks
        ]
        return {"ok": self.is_ok, "checks": checks, "devices": [member.device_json() for member in self.fleet]}


def look(workspace: Workspace) -> Health:
    """Ask every part at once.  Raises ConfigError for settings that cannot be read."""
    settings = workspace.settings
    _import_drivers()
    deadline = time.monotonic() + ANSWER_SECONDS
    broker = Answer(lambda: _ask_broker(settings))
    (database, *others), fleet = _database_part(Answer(lambda: _ask_database(workspace)), deadline)
    disk = [_disk_part(settings), *_quota_part(settings)]
    return Health(checks=[database, _broker_part(broker, deadline), *others, *disk], fleet=fleet)


def _import_drivers() -> None:
    """Load what the parts need, so that the time to answer is theirs alone."""
    import db.views  # noqa: F401
    import scheduler.broker  # noqa: F401


def _ask_broker(settings: "Settings") -> dict[str, str]:
    from scheduler.broker import broker_facts

    return broker_facts(settings)


def _broker_part(answer: Answer, deadline: float) -> Check:
    try:
        facts = answer.get(deadline)
    except TimeoutError:
        return Check(part="broker", state="down", detail="no answer within a second", hint="pixmill up", is_ok=False)
    except PixmillError as error:
        return Check(part="broker", state="down", detail=error.message, hint=error.hint, is_ok=False)
    policy = facts["maxmemory_policy"]
    detail = f"{facts['server']} {facts['version']}, {policy}"
    if policy not in {"noeviction", "?"}:
        hint = "wake-ups may be evicted and come late: set maxmemory-policy to noeviction"
        return Check(part="broker", state="warning", detail=detail, hint=hint, is_ok=False)
    return Check(part="broker", state="ok", detail=detail)


def _ask_database(workspace: Workspace) -> tuple[list[Check], list[Member]]:
    from db.schema import SchemaStatus, require_current_schema, schema_state

    file = workspace.settings.database_url.removeprefix("sqlite:///")
    if file != workspace.settings.database_url and not Path(file).exists():  # opening it would make it
        return [Check(part="database", state="none", detail="not made yet", hint="pixmill up", is_ok=False)], []
    database = workspace.unchecked_database
    state = schema_state(database)
    if state.status is not SchemaStatus.OK:
        require_current_schema(database)  # its error names the remedy
    name = f"{database.engine.dialect.name}, revision {state.current}, {database.label}"
    with database.read() as session:
        fleet = read_fleet(session, workspace.settings.scheduler.lease_seconds)
        checks = [_scheduler_part(session, workspace.settings), _worker_part(fleet), _queue_part(session)]
        checks += [*_schedule_part(session), *_notification_part(session, workspace.settings)]
    return [Check(part="database", state="ok", detail=name), *checks], fleet


def _database_part(answer: Answer, deadline: float) -> tuple[list[Check], Sequence[Member]]:
    try:
        checks, fleet = answer.get(deadline)
    except TimeoutError:
        hint = "pixmill config show --sources"
        return [Check(part="database", state="down", detail="no answer within a second", hint=hint, is_ok=False)], ()
    except PixmillError as error:
        return [Check(part="database", state="down", detail=error.message, hint=error.hint, is_ok=False)], ()
    return checks, fleet


def _scheduler_part(session: "Session", settings: "Settings") -> Check:
    from db.workers import database_time, is_silent, latest_scheduler

    scheduler = latest_scheduler(session)
    at = database_time(session)
    if scheduler is None:
        return Check(part="scheduler", state="none", detail="never ran", hint="pixmill up", is_ok=False)
    seen = f"{scheduler.host}, process {scheduler.pid}, seen {age(scheduler.seen_at, at)} ago"
    if scheduler.stopped_at is not None:
        return Check(part="scheduler", state="down", detail=f"stopped; {seen}", hint="pixmill up", is_ok=False)
    if is_silent(scheduler.seen_at, at, settings.scheduler.lease_seconds):
        return Check(part="scheduler", state="silent", detail=seen, hint="pixmill up", is_ok=False)
    if scheduler.broker_error:
        return Check(part="scheduler", state="warning", detail=scheduler.broker_error, is_ok=False)
    return Check(part="scheduler", state="ok", detail=seen)


def _worker_part(fleet: Sequence[Member]) -> Check:
    running = [member for member in fleet if member.state != "down"]
    if not running:
        return Check(part="workers", state="none", detail="none runs", hint="pixmill up", is_ok=False)
    states = {member.state for member in running}
    sick = next((state for state in ("silent", "deaf") if state in states), None)
    if sick is not None:
        return Check(part="workers", state=sick, detail=tally(running), hint="pixmill worker ls", is_ok=False)
    # A drained device is somebody's wish, not a fault.
    state = "drained" if states & {"drained", "draining"} else "ok"
    return Check(part="workers", state=state, detail=tally(running))


def _queue_part(session: "Session") -> Check:
    from db.order import active_tasks
    from db.views import list_queues

    lines = list_queues(session)
    active = active_tasks(session)
    words, states = [], set()
    for line in lines:
        remark, state = _queue_remark(line.queue, active)
        states.add(state)
        jobs = {state.value: number for state, number in line.jobs.items()}
        counts = ", ".join(f"{jobs[state]} {state}" for state in _QUEUE_STATES if jobs.get(state))
        words.append(f"{line.queue.name}{remark}: {counts or 'empty'}")
    # A paused queue and a limit are somebody's wish, not a fault.
    state = next((state for state in ("paused", "full") if state in states), "ok")
    return Check(part="queues", state=state, detail="; ".join(words) or "none yet")


def _queue_remark(queue: "Queue", active: Mapping[tuple[str, str], int]) -> tuple[str, str]:
    """What keeps the queue from running more, and the state that it gives the part."""
    if queue.paused:
        why = f": {queue.paused_reason}" if queue.paused_reason else ""
        return f" (paused{why})", "paused"
    running = sum(count for (name, _user), count in active.items() if name == queue.name)
    if queue.max_running is not None and running >= queue.max_running:
        return f" (runs {running} of {queue.max_running})", "full"
    each = queue.max_running_per_user
    full = [user for (name, user), count in sorted(active.items()) if name == queue.name and each and count >= each]
    if full:
        return f" (runs {each} of {each} of {', '.join(full[:3])}{', …' if len(full) > 3 else ''})", "full"
    return "", "ok"


def _schedule_part(session: "Session") -> list[Check]:
    """Nothing where there are no schedules."""
    from client.schedules import overview, trouble
    from db.schedules import schedule_lines
    from db.workers import database_time

    lines = schedule_lines(session)
    if not lines:
        return []
    detail = overview(lines, database_time(session))
    troubles = {line.schedule.name: text for line in lines if (text := trouble(line))}
    if not troubles:
        return [Check(part="schedules", state="ok", detail=detail)]
    hint = f"pixmill schedule history {next(iter(troubles))}"
    more = f"; and {len(troubles) - 1} more" if len(troubles) > 1 else ""
    detail = f"{detail}; {next(iter(troubles.values()))}{more}"
    return [Check(part="schedules", state="warning", detail=detail, hint=hint, is_ok=False)]


def _notification_part(session: "Session", settings: "Settings") -> list[Check]:
    """Nothing where nobody asks to be told, and nothing went wrong."""
    from client.notifications import LS_HINT, overview, trouble
    from db.notifications import tally

    numbers, is_wanted = tally(session), settings.notify.url is not None
    if (text := trouble(numbers, is_wanted=is_wanted)) is not None:
        return [Check(part="notifications", state="warning", detail=text, hint=LS_HINT, is_ok=False)]
    return [Check(part="notifications", state="ok", detail=overview(numbers, settings))] if is_wanted else []


def _disk_part(settings: "Settings") -> Check:
    from storage.disk import free_bytes

    try:
        free = free_bytes(settings.storage_root)
    except PixmillError as error:
        return Check(part="disk", state="down", detail=error.message, hint=error.hint, is_ok=False)
    detail = f"{size(free)} free below {settings.storage_root}"
    if free < LOW_DISK_BYTES:
        return Check(part="disk", state="low", detail=detail, hint="free space on that file system", is_ok=False)
    return Check(part="disk", state="ok", detail=detail)


def _quota_part(settings: "Settings") -> list[Check]:
    """Nothing where there is no quota."""
    from client.quota import REMEDY, measure

    try:
        fill = measure(settings, until=time.monotonic() + QUOTA_SECONDS)
    except PixmillError as error:
        return [Check(part="quota", state="down", detail=error.message, hint=error.hint, is_ok=False)]
    if fill is None:
        return []
    if fill.excess_bytes:
        return [Check(part="quota", state="over", detail=str(fill), hint=REMEDY, is_ok=False)]
    return [Check(part="quota", state="ok", detail=str(fill))]
