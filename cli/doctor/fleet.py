"""Schedulers, workers and devices, as the database knows them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, problem, warning
from client.fleet import Member, tally
from client.wording import age, plural
from pixmill import __version__

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

FORGOTTEN_SECONDS = 7 * 86400.0  # a device that nobody has served for so long is taken to be gone


def examine_schedulers(session: "Session", at: datetime, lease_seconds: float) -> Iterator[Finding]:
    """How many run, when each was seen, and what they complain about."""
    from db.diagnosis import running_schedulers
    from db.workers import is_silent, latest_scheduler

    present = [row for row in running_schedulers(session) if not is_silent(row.seen_at, at, lease_seconds)]
    if not present:
        last = latest_scheduler(session)
        seen = f"the last was seen {age(last.seen_at, at)} ago on {last.host}" if last else "none has ever run"
        yield problem("scheduler", f"none runs, so nothing is dispatched; {seen}", "pixmill up")
        return
    where = ", ".join(f"{row.host} process {row.pid} ({age(row.seen_at, at)} ago)" for row in present)
    yield ok("scheduler", f"{len(present)} {'runs' if len(present) == 1 else 'run'}: {where}")
    for row in present:
        if row.broker_error:
            yield problem("scheduler", f"on {row.host} it cannot send wake-ups: {row.broker_error}", "pixmill status")
        if row.version != __version__:
            yield _other_version(f"the scheduler on {row.host}", row.version, "scheduler")


def _other_version(what: str, version: str, part: str) -> Finding:
    detail = f"{what} runs pixmill {version}, this is {__version__}"
    return warning(part, detail, "on that host, with this version: pixmill down && pixmill up")


def examine_fleet(fleet: Sequence[Member]) -> Iterator[Finding]:
    """What the workers do, which of them do not answer, and which devices nobody serves."""
    shown = [member for member in fleet if member.state != "down"]
    if shown:
        yield ok("workers", tally(shown))
    else:
        yield problem("workers", "none runs: nothing can start", "pixmill up")
    for member in fleet:
        yield from _examine_member(member)
    gone = sum(_is_forgotten(member) for member in fleet)
    if gone:
        yield ok("devices", f"{plural(gone, 'device')} without a worker for more than a week: taken to be gone")


def _examine_member(member: Member) -> Iterator[Finding]:
    seen = age(member.worker.seen_at, member.at)
    device, name = member.worker.device, member.label
    start = f"on {device.host}: pixmill worker start --device {device.name}"
    if member.state == "silent":
        yield problem("workers", f"{member.worker.name} was last heard of {seen} ago", f"read its log; then, {start}")
    elif member.state == "deaf":
        detail = f"{member.worker.name} beats but heard none of the last {member.canaries_missed} messages"
        yield problem("workers", detail, f"on {device.host}: kill {member.worker.pid}; then pixmill worker start")
    elif member.state == "down" and not _is_forgotten(member):
        yield warning("devices", f"{name} ({device.model}): no worker since {seen}", start)
    if device.drained:
        yield warning("devices", f"{name} is drained: {member.drain_reason}", f"pixmill device resume {name}")
    elif member.drain_reason is not None:
        detail = f"{member.worker.name} is drained: {member.drain_reason}"
        yield warning("workers", detail, f"pixmill worker resume {name}")
    if member.is_present and member.worker.version != __version__:
        yield _other_version(f"worker {member.worker.name}", member.worker.version, "workers")


def _is_forgotten(member: Member) -> bool:
    return member.state == "down" and member.seconds_silent >= FORGOTTEN_SECONDS
