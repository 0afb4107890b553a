"""A whole production line that can be hurt: its own servers, schedulers and workers, and a supervisor over them.

Whatever dies is started again, as systemd would. The processes are the product's own, started by its command line;
only their clocks are set to run fast.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import psutil
from sqlalchemy import event

from db.engine import Database, open_database
from db.schema import upgrade_schema
from db.workers import present_workers
from pixmill.settings import Settings, load_settings
from tests.faults.processes import left_behind, processes_of
from tests.faults.proxy import Proxy
from tests.faults.violation import Invariant, Violation
from tests.faults.witness import install_witness
from tests.servers import Postgres, Valkey, die_with_parent
from tests.waiting import is_alive, wait_until
from tests.worker.line import REPOSITORY

Kind = Literal["sqlite", "postgresql"]
Role = Literal["scheduler", "worker"]

LEASE_SECONDS = 2.5
PROGRESS_DEADLINE_SECONDS = 20.0  # longer than a fresh device process needs for its imports on a busy machine
FAST: dict[str, Any] = {
    "scheduler.tick_seconds": 0.2,
    "scheduler.redispatch_seconds": 2.0,
    "scheduler.lease_seconds": LEASE_SECONDS,
    "scheduler.max_lost_leases": 1_000_000,  # nobody here is poison: whatever dies was killed
    "worker.heartbeat_seconds": 0.2,
    "worker.idle_heartbeat_seconds": 0.5,
    "worker.checkpoint_seconds": 0.2,
    "worker.progress_deadline_seconds": PROGRESS_DEADLINE_SECONDS,
    "worker.stop_grace_seconds": 6.0,
    "worker.threads": 1,
    "database.busy_timeout_seconds": 5.0,
    "database.connect_timeout_seconds": 1.0,
    "broker.timeout_seconds": 1.0,
}
CRASH_VARIABLE, MARK_VARIABLE = "PIXMILL_TEST_CRASH_AT", "PIXMILL_TEST_CRASH_MARK"
TEND_SECONDS = 0.03  # between two looks of the supervisor
RESTART_SECONDS = 0.1  # between a death and the next start
ORPHAN_SECONDS = 1.0  # how long a child may outlive its parent
STOP_SECONDS = 20.0  # for an orderly end of everything


class CrashablePostgres(Postgres):
    """A server whose committed transactions survive its own death, though not that of the machine."""

    options: ClassVar[Mapping[str, str]] = {
        "fsync": "off",
        "max_connections": "100",
        "shared_buffers": "32MB",
        "autovacuum": "off",
        "max_wal_size": "1GB",
        "max_wal_senders": "0",
        "wal_level": "minimal",
    }


@dataclass
class Member:
    """A process that is kept alive."""

    name: str
    role: Role
    words: Sequence[str]  # of its command line
    log: Path
    variant: str | None = None  # the broken version of the product that it runs
    process: "subprocess.Popen[bytes] | None" = None
    due_at: float = 0.0  # when to start next, while none runs
    is_stopped: bool = False  # by SIGSTOP
    starts: int = 0

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return None if self.process is None else self.process.pid

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; False when nothing runs."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    @property
    def children(self) -> list[psutil.Process]:
        """Processes that this one has started; the device process of a worker."""
        if self.pid is None:
            return []
        try:
            return psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []

    def log_text(self) -> str:
        """What it has written to stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


@dataclass(frozen=True)
class Death:
    """An end that nobody here ordered."""

    member: str
    status: int  # as Popen gives it


class Plant:
    """One home with everything that serves it; `knobs` are settings of its processes."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        *,
        workers: int = 3,
        schedulers: int = 2,
        knobs: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.kind = kind
        self.marks = folder / "marks"
        self.marks.mkdir()
        (self.home / "logs").mkdir(parents=True)
        folder.chmod(0o755)  # PostgreSQL runs as somebody else where we are root
        self.valkey = Valkey(folder)
        self.proxy = Proxy(folder / "proxy.sock", self.valkey.socket)
        self.postgres = self._make_postgres() if kind == "postgresql" else None
        self._knobs = {**FAST, **(knobs or {}), **self._addresses()}
        self.settings: Settings = load_settings(flags=self._knobs)
        self.members = [self._member("scheduler", number) for number in range(schedulers)]
        self.members += [self._member("worker", number) for number in range(workers)]
        self.violations: list[Violation] = []
        self.deaths: Counter[Death] = Counter()
        self.database_is_away = False
        self.next_crash: Callable[[Role], str | None] = lambda _role: None  # what to arm at a start
        self._armed = 0
        self.hurt: set[int] = set()  # pids of workers that did not live undisturbed all the time
        self._orphans: list[tuple[psutil.Process, float, str]] = []
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def _make_postgres(self) -> CrashablePostgres:
        folder = self.folder / "postgres"
        folder.mkdir()
        return CrashablePostgres(folder)

    def _addresses(self) -> dict[str, Any]:
        url = self.postgres.url("postgres") if self.postgres else f"sqlite:///{self.home / 'pixmill.db'}"
        return {"home": self.home, "database.url": url, "broker.url": self.proxy.url}

    def open_database(self, patience_seconds: float = 5.0) -> Database:
        """A database that refuses rather than to wait long: what holds a lock may have been stopped by the caller."""
        flags = {**self._knobs, "database.busy_timeout_seconds": patience_seconds}
        database = open_database(load_settings(flags=flags))
        if not database.is_sqlite:
            event.listen(database.engine, "connect", partial(_hurry, patience_seconds))
        return database

    def _member(self, role: Role, number: int) -> Member:
        words = ["scheduler", "run"] if role == "scheduler" else ["worker", "start", "--device", f"cpu:{number}"]
        name = f"{role}-{number}"
        return Member(name, role, words, self.home / "logs" / f"{name}.log")

    def command(self, words: Sequence[str], variant: str | None = None) -> list[str]:
        """A command line of the product, or of a broken version of it (see tests.faults.broken)."""
        program = ["-m", "cli"] if variant is None else ["-m", "tests.faults.broken", variant]
        return [sys.executable, *program, "--home", str(self.home), *words]

    def start(self) -> None:
        """Start servers, schema and processes; returns before these are ready."""
        self.valkey.start()
        self.proxy.start()
        if self.postgres is not None:
            self.postgres.create()
            self.postgres.start()
        self.database = self.open_database()
        upgrade_schema(self.database)
        install_witness(self.database)
        self._supervisor.start()

    @property
    def workers(self) -> list[Member]:
        """The worker parents."""
        return [member for member in self.members if member.role == "worker"]

    @property
    def schedulers(self) -> list[Member]:
        """The schedulers."""
        return [member for member in self.members if member.role == "scheduler"]

    def environment(self, crash_at: str | None = None) -> dict[str, str]:
        """The variables under which the product's processes run, armed to die once at a crash point if one is named."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIXMILL_")}
        own = {f"PIXMILL_{key.replace('.', '_')}".upper(): str(value) for key, value in self._knobs.items()}
        armed = {}
        if crash_at:
            self._armed += 1
            armed = {CRASH_VARIABLE: crash_at, MARK_VARIABLE: str(self.marks / f"{self._armed}-{crash_at}")}
        return {**inherited, "OMP_NUM_THREADS": "1", **own, **armed}

    @property
    def crashed_at(self) -> list[str]:
        """The crash points at which a process has died, oldest arming first."""
        marks = sorted(self.marks.iterdir(), key=lambda mark: int(mark.name.partition("-")[0]))
        return [mark.name.partition("-")[2].partition(":")[0] for mark in marks]

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until every worker has said that it can work."""
        wait_until(self._all_are_ready, timeout=seconds)

    def _all_are_ready(self) -> bool:
        pids = {member.pid for member in self.workers}
        with self.database.read() as session:
            return pids <= {worker.pid for worker in present_workers(session)}

    def _supervise(self) -> None:
        while not self._stopping.wait(TEND_SECONDS):
            with self._lock:
                for member in self.members:
                    self._tend(member)
                self._look_for_orphans()

    def _tend(self, member: Member) -> None:
        if member.process is not None and member.process.poll() is not None:
            self._take_in_death(member)
        if member.process is None and member.due_at <= time.monotonic():
            self._spawn(member, self.next_crash(member.role) if member.starts else None)

    def _take_in_death(self, member: Member) -> None:
        assert member.process is not None
        self.hurt.add(member.process.pid)
        self.deaths[Death(member.name.partition("-")[0], member.process.returncode)] += 1
        member.process, member.is_stopped = None, False
        member.due_at = time.monotonic() + RESTART_SECONDS

    def _spawn(self, member: Member, crash_at: str | None) -> None:
        with member.log.open("ab") as log:
            member.process = subprocess.Popen(
                self.command(member.words, member.variant),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=self.environment(crash_at),
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        member.starts += 1

    def kill(self, member: Member) -> bool:
        """SIGKILL; its children must be gone within a second. False when nothing runs."""
        with self._lock:
            children = member.children
            if not member.signal(signal.SIGKILL):
                return False
            deadline = time.monotonic() + ORPHAN_SECONDS
            self._orphans += [(child, deadline, member.name) for child in children]
            return True

    def replace(self, member: Member, variant: str | None, *, crash_at: str | None = None) -> None:
        """Run another version of the product from now on; its first process may be armed to die at a crash point."""
        if member.variant == variant and crash_at is None:
            return
        with self._lock:
            member.variant = variant
            self.kill(member)
            if member.process is not None:
                member.process.wait()
                self._take_in_death(member)
            self._spawn(member, crash_at)

    def suspend(self, member: Member) -> bool:
        """SIGSTOP; False when nothing runs."""
        member.is_stopped = True
        self.hurt.add(member.pid or 0)
        if not member.signal(signal.SIGSTOP):
            member.is_stopped = False
        return member.is_stopped

    def _look_for_orphans(self) -> None:
        due = [orphan for orphan in self._orphans if orphan[1] <= time.monotonic()]
        for orphan in due:
            self._orphans.remove(orphan)
            process, _deadline, name = orphan
            if is_alive(process):
                text = f"process {process.pid} outlived {name} by more than {ORPHAN_SECONDS:g} s"
                self.violations.append(Violation(Invariant.PROCESSES, text))

    @property
    def is_whole(self) -> bool:
        """Whether every process runs and none is stopped."""
        return all(member.process is not None and not member.is_stopped for member in self.members)

    def heal(self) -> None:
        """Take back every disturbance that lasts."""
        self.proxy.is_holding = False
        for member in self.members:
            self.resume(member)
        for process in processes_of(self.home):
            if process.status() == psutil.STATUS_STOPPED:
                process.resume()

    def resume(self, member: Member) -> None:
        """SIGCONT, if it was stopped."""
        if member.is_stopped:
            member.is_stopped = False
            member.signal(signal.SIGCONT)

    def stop(self) -> None:
        """End everything, servers last; notes who does not end or leaves something behind."""
        self.stop_processes()
        self.stop_servers()

    def stop_processes(self) -> None:
        """End schedulers and workers in order, workers first; the database can still be asked."""
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        for role in ("worker", "scheduler"):
            self._stop_members([member for member in self.members if member.role == role])
        with suppress(AssertionError):
            wait_until(lambda: not left_behind(self.home), timeout=ORPHAN_SECONDS)
        self.violations += left_behind(self.home)

    def stop_servers(self) -> None:
        """End what the processes needed."""
        self.database.dispose()
        self.proxy.stop()
        self.valkey.kill()
        if self.postgres is not None:
            self.postgres.stop()

    def _stop_members(self, members: Sequence[Member]) -> None:
        for member in members:
            member.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for member in members:
            if member.process is None:
                continue
            try:
                member.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                text = f"{member.name} did not end within {STOP_SECONDS:g} s of SIGTERM"
                self.violations.append(Violation(Invariant.PROCESSES, text))
                member.process.kill()
                member.process.wait()


def _hurry(patience_seconds: float, connection: Any, _entry: Any) -> None:
    milliseconds = round(1000 * patience_seconds)
    connection.execute(f"SET lock_timeout = {milliseconds}")
    connection.execute(f"SET statement_timeout = {milliseconds + 5000}")
    connection.commit()
