"""Keeps the embedded server, the scheduler and the workers of one home alive: `python -m cli.local.supervisor`.

Waits on pidfds and signals alone. Everything it starts gets SIGTERM from the kernel if it is killed itself.
"""

import argparse
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cli.local.children import Child
from cli.local.household import make_children
from cli.local.locks import FileLock, holder_of
from cli.local.processes import ProcessMark
from cli.local.record import Role, UpRecord, lock_path, record_path
from cli.local.signals import StopSignals
from pixmill import __version__
from pixmill.errors import AlreadyRunning, PixmillError, StorageError
from pixmill.logs import log_to_stderr
from pixmill.settings import Settings, load_settings
from pixmill.times import write_time
from storage.faults import named_faults

log = logging.getLogger("cli.local.supervisor")  # its own name when it runs as a program, too

STOP_ORDER: tuple[Role, ...] = ("worker", "scheduler", "server")
STOP_SECONDS = 5.0  # for what has no checkpoint to write, and on top of a worker's grace
HURRY_SECONDS = 2.0  # for anything, once a second signal has come


class Supervisor:
    """One run from the first start to the end of the last child."""

    def __init__(self, settings: Settings, children: Sequence[Child], devices: Sequence[str]) -> None:
        self._settings = settings
        self._children = list(children)
        self._devices = tuple(devices)
        self._started_at = write_time(datetime.now(UTC))
        self._events = select.poll()
        self._by_pidfd: dict[int, Child] = {}

    def run(self) -> None:
        """Keep the children alive until SIGTERM or SIGINT; a second signal ends the wait for workers that finish."""
        with StopSignals() as signals:
            self._events.register(signals.descriptor, select.POLLIN)
            while not signals.count:
                self._start_due()
                self._wait(signals, self._seconds_to_next_start())
            log.info("stopping", extra={"action": "stop"})
            self._stop_all(signals)
        log.info("stopped", extra={"action": "stop"})

    def _start_due(self) -> None:
        due = [child for child in self._children if not child.is_running and child.due_at <= time.monotonic()]
        for child in due:
            if child.start():
                self._by_pidfd[child.pidfd] = child
                self._events.register(child.pidfd, select.POLLIN)
        if due:
            self._publish()

    def _seconds_to_next_start(self) -> float | None:
        waiting = [child.due_at for child in self._children if not child.is_running]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _wait(self, signals: StopSignals, seconds: float | None) -> None:
        """Wait for a signal, the end of a child, or until the time has passed; take in what happened."""
        # Rounded up: poll's milliseconds would otherwise end just before the time, again and again.
        timeout = None if seconds is None else int(seconds * 1000) + 1
        ended = []
        for descriptor, _ in self._events.poll(timeout):
            if descriptor == signals.descriptor:
                signals.drain()
            else:
                ended.append(self._by_pidfd.pop(descriptor))
                self._events.unregister(descriptor)
        for child in ended:
            child.take_in_end(expected=bool(signals.count))
        if ended:
            self._publish()

    def _stop_all(self, signals: StopSignals) -> None:
        for role in STOP_ORDER:
            members = [child for child in self._children if child.role == role and child.is_running]
            for child in members:
                child.signal(signal.SIGTERM)
            self._wait_for_end(members, signals, self._settings.worker.stop_grace_seconds if role == "worker" else 0.0)

    def _wait_for_end(self, members: Sequence[Child], signals: StopSignals, grace_seconds: float) -> None:
        begun = time.monotonic()
        while any(child.is_running for child in members):
            allowed = HURRY_SECONDS if signals.count > 1 else grace_seconds + STOP_SECONDS
            left = begun + allowed - time.monotonic()
            if left <= 0:
                self._kill(members)
            self._wait(signals, left if left > 0 else None)

    def _kill(self, members: Sequence[Child]) -> None:
        for child in members:
            if child.is_running:
                log.warning("killed", extra={"action": "kill", "child": child.name})
                child.signal(signal.SIGKILL)

    def _publish(self) -> None:
        mark = ProcessMark.of(os.getpid())
        assert mark is not None
        record = UpRecord(
            supervisor=mark,
            host=socket.gethostname(),
            version=__version__,
            started_at=self._started_at,
            devices=self._devices,
            children=tuple(child.record() for child in self._children),
        )
        try:
            record.write(record_path(self._settings))
        except StorageError as error:  # a full disk must not take down what could still finish its work
            log.warning("the record is not up to date", extra={"action": "publish", "reason": error.message})


def supervise(settings: Settings, devices: Sequence[str], config: Path | None) -> None:
    """Serve a home until told to stop.  Raises AlreadyRunning."""
    with FileLock(lock_path(settings)) as lock:
        if not lock.acquire():
            raise already_running(settings)
        lock.sign(os.getpid())
        _withdraw_record(settings)  # of a supervisor that was killed
        Supervisor(settings, make_children(settings, devices, config), devices).run()
        _withdraw_record(settings)


def _withdraw_record(settings: Settings) -> None:
    path = record_path(settings)
    with named_faults(path, "remove"):
        path.unlink(missing_ok=True)


def already_running(settings: Settings) -> AlreadyRunning:
    """The one message about a second start."""
    pid = holder_of(lock_path(settings))
    return AlreadyRunning(
        f"pixmill is already running on {settings.home}" + (f" (pid {pid})" if pid else ""),
        hint="pixmill status shows it, pixmill down stops it",
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="cli.local.supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--device", action="append", required=True, help="such as cpu or cuda:0; may be repeated")
    arguments = parser.parse_args()
    log_to_stderr()
    try:
        settings = load_settings(config=arguments.config, flags={"home": arguments.home})
        log_to_stderr(settings.log.format, settings.log.level)
        supervise(settings, arguments.device, arguments.config)
    except PixmillError as error:
        log.error("cannot supervise", extra={"action": "start", "reason": error.message})
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
