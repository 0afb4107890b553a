"""What processes of this home have left in run/: locks, the record of `up`, the server's socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, warning
from cli.local.locks import holder_of, is_held
from cli.local.processes import ProcessMark
from cli.local.record import UpRecord, lock_path, record_path
from client.wording import plural

if TYPE_CHECKING:
    from pixmill.settings import Settings

PART = "processes"


def examine_leftovers(settings: "Settings") -> Iterator[Finding]:
    """Who serves this home from here, and what was left by somebody who no longer does."""
    if not settings.run_folder.is_dir():
        yield ok(PART, "none was ever started from this home")
        return
    locks = sorted(settings.run_folder.glob("*.lock"))
    held = [path for path in locks if is_held(path)]
    stale = [f"{path.name} (process {pid})" for path in locks if path not in held and (pid := _gone(path))]
    text = f"{plural(len(locks), 'lock file')}, {len(held)} held"
    if stale:
        text += f"; of processes that have ended, and harmless: {', '.join(stale)}"
    yield ok(PART, text)
    yield from _examine_record(settings)
    socket = settings.broker_socket
    if settings.broker_is_embedded and socket.exists() and not is_held(socket.with_suffix(".lock")):
        yield warning(PART, f"{socket} was left by a server that was killed", "pixmill up")


def _gone(lock: Path) -> int | None:
    """The pid in a lock file, if that process has ended."""
    pid = holder_of(lock)
    return pid if pid is not None and ProcessMark.of(pid) is None else None


def _examine_record(settings: "Settings") -> Iterator[Finding]:
    record = UpRecord.read(record_path(settings))
    if record is None or not record.is_of_this_host:
        return
    if record.supervisor.is_alive() and is_held(lock_path(settings)):
        living = record.living_children()
        names = ", ".join(child.name for child in living)
        yield ok(PART, f"`up` runs (process {record.supervisor.pid}) and looks after {names or 'nothing'}")
        for child in record.children:
            if child.exits and child.mark is None:
                detail = f"{child.name} {child.last_exit or 'ended'}, {child.exits} times since `up`"
                yield warning(PART, detail, f"read its log: {child.log}")
        return
    left = record.living_children()
    names = ", ".join(child.name for child in left)
    rest = f"still running: {names}" if left else "nothing of it runs any more"
    detail = f"`up` (process {record.supervisor.pid}) was killed; {rest}"
    yield warning(PART, detail, "pixmill down" if left else "pixmill up")
