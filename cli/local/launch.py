"""From nothing to a served home: start the supervisor, and wait until everything it looks after is ready."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cli.local.children import exit_text
from cli.local.locks import is_held
from cli.local.processes import ProcessMark, spawn_detached, wait_until_ended
from cli.local.readiness import BROKER, Readiness
from cli.local.record import UpRecord, lock_path, record_path
from cli.local.service_logs import last_lines, log_size, open_log
from cli.local.stopping import stop_leftovers, stop_supervisor
from cli.local.supervisor import already_running
from db.engine import Database
from pixmill.errors import AlreadyRunning, BrokerUnreachable, PixmillError
from pixmill.interpreter import python_command, with_our_code
from pixmill.logs import readable
from pixmill.settings import Settings
from storage.disk import check_writable

Say = Callable[[str], None]

READY_SECONDS = 120.0  # importing torch from a cold disk takes most of it
SHOWN_LOG_LINES = 12
TOLERATED_EXITS = 2  # a predecessor that was killed may hold a lock for a moment; who dies more often cannot start
_LOOK_SECONDS = 0.1  # between two looks at what is ready


def supervisor_command(settings: Settings, devices: Sequence[str], config: Path | None) -> list[str]:
    """How the supervisor of a home is called."""
    chosen = ("--home", str(settings.home), *(("--config", str(config.absolute())) if config else ()))
    named = tuple(part for device in devices for part in ("--device", device))
    return python_command("-m", "cli.local.supervisor", *chosen, *named)


def supervisor_log(settings: Settings) -> Path:
    """Where a supervisor in the background logs."""
    return settings.log_folder / "supervisor.log"


def check_home(settings: Settings) -> None:
    """Make the folders, and prove that they can be written.

    Raises AlreadyRunning when the home is served, PermissionDenied, DiskFull or StorageError.
    """
    for folder in dict.fromkeys((settings.home, settings.storage_root)):
        check_writable(folder)
    if is_held(lock_path(settings)):
        raise already_running(settings)


class Launch:
    """A supervisor in the background, from its start until all that it looks after is ready."""

    def __init__(
        self, settings: Settings, database: Database, devices: Sequence[str], config: Path | None, say: Say
    ) -> None:
        self._settings = settings
        self._say = say
        self._readiness = Readiness(settings, database)
        self._old_bytes = {path: log_size(path) for path in settings.log_folder.glob("*.log")}
        self._log = supervisor_log(settings)
        with open_log(self._log) as output:
            command = supervisor_command(settings, devices, config)
            self._pid = spawn_detached(command, output, with_our_code(os.environ))
        self._mark = ProcessMark.of(self._pid)
        self._announced: set[str] = set()

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> UpRecord:
        """Wait until broker, scheduler and workers serve, and say so of each.

        Raises AlreadyRunning when another start was quicker, PixmillError when something cannot start (the end of its
        log is said first), and whatever the database raises. Nothing of this start is left running then.
        """
        try:
            return self._wait_ready(time.monotonic() + timeout_seconds)
        except BaseException:  # Ctrl-C too: half a start is of no use
            self.abandon()
            raise

    def abandon(self) -> None:
        """Stop whatever this start has brought up."""
        if self._mark is not None and self._mark.is_alive():
            self._say("stopping what was started")
            stop_supervisor(self._mark, 0.0)
        stop_leftovers(self._settings, 0.0)

    def _wait_ready(self, deadline: float) -> UpRecord:
        missing = ["supervisor"]
        while time.monotonic() < deadline:
            self._require_supervisor()
            record = UpRecord.read(record_path(self._settings))
            if record is not None and record.supervisor == self._mark:
                self._require_no_failure(record)
                missing = self._readiness.missing(record.children)
                self._announce(record, missing)
                if not missing:
                    return record
            wait_until_ended([self._mark] if self._mark else [], _LOOK_SECONDS)
        raise self._timed_out(missing)

    def _require_supervisor(self) -> None:
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        if not ended:
            return
        code = os.waitstatus_to_exitcode(status)
        if code == AlreadyRunning.exit_code:
            raise already_running(self._settings)
        raise self._failure("the supervisor", exit_text(code), self._log)

    def _require_no_failure(self, record: UpRecord) -> None:
        for child in record.children:
            if child.exits > TOLERATED_EXITS:
                raise self._failure(child.name, child.last_exit or "ended", Path(child.log))

    def _announce(self, record: UpRecord, missing: Sequence[str]) -> None:
        for child in record.children:
            if child.name not in missing and child.name not in self._announced and child.mark is not None:
                self._announced.add(child.name)
                self._say(f"{child.name} is ready (pid {child.mark.pid})")

    def _failure(self, name: str, how: str, log: Path) -> PixmillError:
        self._say_last_lines(name, log)
        return PixmillError(f"{name} does not stay up: it {how}", hint=f"its log: {log}")

    def _timed_out(self, missing: Sequence[str]) -> PixmillError:
        if BROKER in missing:
            return BrokerUnreachable("the configured Redis does not answer", hint="pixmill config show --sources")
        log = self._settings.log_folder / f"{missing[0]}.log"
        self._say_last_lines(missing[0], log)
        return PixmillError(f"not ready in time: {', '.join(missing)}", hint=f"the logs: {log.parent}")

    def _say_last_lines(self, name: str, log: Path) -> None:
        self._say(f"the end of the log of {name}:")
        for line in last_lines(log, SHOWN_LOG_LINES, since_bytes=self._old_bytes.get(log, 0)) or ["(nothing)"]:
            self._say(f"  {readable(line)}")


def become_supervisor(settings: Settings, devices: Sequence[str], config: Path | None) -> None:
    """Turn this process into the supervisor, for service managers and containers; does not return."""
    command = supervisor_command(settings, devices, config)
    sys.stdout.flush()
    os.execve(command[0], command, with_our_code(os.environ))  # noqa: S606  our own interpreter
