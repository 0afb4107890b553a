"""The end of a served home: ask the supervisor to stop, wait, and look for what it may have left."""

import os
import signal
from collections.abc import Sequence

from cli.local.locks import holder_of, is_held
from cli.local.processes import ProcessMark, send_signal, wait_until_ended
from cli.local.record import ChildRecord, UpRecord, lock_path, record_path
from pixmill.errors import Conflict, PixmillError
from pixmill.settings import Settings

HURRY_SECONDS = 20.0  # after the second signal nothing waits for a checkpoint any more


def patience_seconds(settings: Settings) -> float:
    """How long an orderly stop may take: the workers' grace, and a little for everything else."""
    return settings.worker.stop_grace_seconds + 20.0


def stop_home(settings: Settings, timeout_seconds: float) -> list[str]:
    """Stop everything that serves the home; gives the names of what ran, none when nothing did.

    Workers may take `timeout_seconds` to give their tasks back; after that they are killed, which loses no job but
    the work since its last checkpoint.
    Raises Conflict when another host serves the home, PixmillError when something survives.
    """
    record = UpRecord.read(record_path(settings))
    if record is not None and not record.is_of_this_host:
        raise Conflict(f"{settings.home} was last served by host {record.host}", hint="run pixmill down there")
    stopped = _stop_holder(settings, record, timeout_seconds)
    leftovers = stop_leftovers(settings, timeout_seconds)
    return stopped or leftovers


def _stop_holder(settings: Settings, record: UpRecord | None, timeout_seconds: float) -> list[str]:
    if not is_held(lock_path(settings)):
        return []
    mark = _supervisor_mark(settings, record)
    if mark is None or not stop_supervisor(mark, timeout_seconds):
        return []
    return [child.name for child in record.children] if record else ["supervisor"]


def stop_supervisor(mark: ProcessMark, timeout_seconds: float) -> bool:
    """Stop a supervisor and its children; gives whether there was one.  Raises PixmillError when it does not end."""
    # Another signal than the first: the kernel would merge a second SIGTERM that comes too soon.
    found = _end([mark], timeout_seconds, hurry=signal.SIGINT)
    if mark.is_alive():
        raise PixmillError(f"the supervisor (pid {mark.pid}) does not end", hint=f"kill -KILL {mark.pid}")
    return found


def _supervisor_mark(settings: Settings, record: UpRecord | None) -> ProcessMark | None:
    """The lock's holder; the record comes a moment after the lock."""
    if record is not None and record.supervisor.is_alive():
        return record.supervisor
    pid = holder_of(lock_path(settings))
    return ProcessMark.of(pid) if pid else None


def stop_leftovers(settings: Settings, timeout_seconds: float) -> list[str]:
    """Stop what a supervisor that was killed has left; gives the names."""
    path = record_path(settings)
    record = UpRecord.read(path)
    if record is None or is_held(lock_path(settings)) or not record.is_of_this_host:
        return []
    left = record.living_children()
    _end([child.mark for child in left if child.mark is not None], timeout_seconds, hurry=signal.SIGKILL)
    _require_ended(left)
    path.unlink(missing_ok=True)
    return [child.name for child in left]


def _require_ended(children: Sequence[ChildRecord]) -> None:
    for child in children:
        if child.mark is not None and child.mark.is_alive():
            raise PixmillError(f"{child.name} (pid {child.mark.pid}) does not end", hint=f"kill -KILL {child.mark.pid}")


def _end(marks: Sequence[ProcessMark], timeout_seconds: float, hurry: signal.Signals) -> bool:
    """Ask the processes to end, and send `hurry` when the time is up; gives whether any was there."""
    asked = _signal_all(marks, signal.SIGTERM)
    if wait_until_ended(marks, timeout_seconds):
        _signal_all(marks, hurry)
        wait_until_ended(marks, HURRY_SECONDS)
    return asked


def _signal_all(marks: Sequence[ProcessMark], number: signal.Signals) -> bool:
    signalled = False
    for mark in marks:
        descriptor = mark.open()
        if descriptor is not None:
            send_signal(descriptor, number)
            os.close(descriptor)
            signalled = True
    return signalled
