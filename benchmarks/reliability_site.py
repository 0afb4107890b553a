"""A home of its own for every measurement: real servers, schedulers and workers, started as an operator starts them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import psutil
from sqlalchemy.orm import Session

from benchmarks.pickup import database_server
from db.engine import open_database
from db.finding import get_job
from db.schema import upgrade_schema
from db.tables.jobs import Job, Task
from db.views import job_tasks
from db.workers import latest_scheduler, present_workers
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, Spec
from pixmill.states import State
from scheduler.submit import submit
from tests.servers import Valkey, die_with_parent
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[1]
READY_SECONDS = 120.0  # the first import of torch on a busy machine
JOB_SECONDS = 120.0  # far more than any job here takes; only a hang gets there
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.002  # between two looks at a row

Process = subprocess.Popen[bytes]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Site:
    """One home with its servers and processes, all under default settings but for `knobs` (`__` stands for a dot)."""

    def __init__(self, folder: Path, kind: str, database_url: str, broker: Valkey, knobs: dict[str, Any]) -> None:
        self.kind = kind
        self.home = folder / "home"
        self.broker = broker
        self._logs = folder / "logs"
        self._logs.mkdir()
        flags = {"home": self.home, "database.url": database_url, "broker.url": broker.url}
        self._flags = {**flags, **{key.replace("__", "."): value for key, value in knobs.items()}}
        self.settings = load_settings(flags=self._flags)
        self.database = open_database(self.settings)
        upgrade_schema(self.database)
        self.schedulers: list[Process] = []
        self.workers: dict[str, Process] = {}  # by device

    def start_scheduler(self) -> None:
        """Start one more scheduler; returns when it has ticked."""
        self.schedulers.append(self._spawn("scheduler", "-m", "cli", "scheduler", "run"))
        wait_until(self._scheduler_is_ready, timeout=READY_SECONDS)

    def _scheduler_is_ready(self) -> bool:
        with self.database.read() as session:
            scheduler = latest_scheduler(session)
        return scheduler is not None and scheduler.pid == self.schedulers[-1].pid

    def start_workers(self, count: int) -> None:
        """Start workers on the CPU until `count` run; returns when all can take a task."""
        for number in range(count):
            device = f"cpu:{number}" if number else "cpu"
            if device not in self.workers or self.workers[device].poll() is not None:
                self.workers[device] = self._spawn(
                    f"worker-{number}", "-m", "cli", "worker", "start", "--device", device
                )
        wait_until(self._workers_are_ready, timeout=READY_SECONDS)

    def _workers_are_ready(self) -> bool:
        pids = {process.pid for process in self.workers.values() if process.poll() is None}
        with self.database.read() as session:
            return pids <= {worker.pid for worker in present_workers(session)}

    def spawn_holder(self, host: str, leases: int) -> Process:
        """Start a host that holds leases and computes nothing; whoever asked for it ends it."""
        code = f"from benchmarks.reliability_holder import hold_leases; hold_leases({host!r}, {leases})"
        return self._spawn(host, "-c", code)

    def _spawn(self, name: str, *words: str) -> Process:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIXMILL_")}
        own = {f"PIXMILL_{key.replace('.', '_')}".upper(): str(value) for key, value in self._flags.items()}
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env={**inherited, **own},
                preexec_fn=die_with_parent,  # noqa: PLW1509
                start_new_session=True,
            )

    def stop(self) -> None:
        """End everything that was started here, gently if it can be had within a few seconds."""
        processes = [*self.workers.values(), *self.schedulers]
        children = [child for process in processes for child in children_of(process)]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _gone, alive = psutil.wait_procs(children, timeout=5.0)
        for child in alive:
            child.kill()
        self.database.dispose()

    def cpu_seconds(self) -> dict[str, float]:
        """What the running processes have used of the processor so far, by their part in the line."""
        devices = [child for worker in self.workers.values() for child in children_of(worker)]
        return {
            "workers": sum(_cpu_seconds(psutil.Process(worker.pid)) for worker in self.workers.values()),
            "devices": sum(map(_cpu_seconds, devices)),
            "schedulers": sum(_cpu_seconds(psutil.Process(scheduler.pid)) for scheduler in self.schedulers),
            "database": sum(_cpu_seconds(server) for server in _database_servers()),
        }

    def device_process(self, device: str = "cpu") -> psutil.Process:
        """The child of this device's worker."""
        (child,) = children_of(self.workers[device])
        return child

    def act(
        self,
        function: Callable[Concatenate[Session, Parameters], Result],
        *args: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result:
        """Call a function of db in a transaction of its own."""
        return self.database.transact(lambda session: function(session, *args, **options))

    def submit(self, spec: Spec, **options: Any) -> int:
        """Submit a job as the command line does; its id."""
        return submit(self.database, self.settings, spec, JobOptions(**options), user="benchmark").job_id

    def job(self, job_id: int) -> Job:
        """The job's row."""
        with self.database.read() as session:
            return get_job(session, job_id)

    def task(self, job_id: int, number: int = 0) -> Task:
        """A task of the job."""
        with self.database.read() as session:
            return job_tasks(session, job_id)[number]

    def run(self, spec: Spec, **options: Any) -> int:
        """Submit a job and wait until it has succeeded; its id."""
        job_id = self.submit(spec, **options)
        self.wait(lambda: self.job(job_id).state.is_terminal)
        assert self.job(job_id).state is State.SUCCEEDED, f"{self.job(job_id).message}\n{self.logs()}"
        return job_id

    def wait(
        self, condition: Callable[[], object], seconds: float = JOB_SECONDS, *, pause: float = LOOK_SECONDS
    ) -> float:
        """Look until `condition` holds; gives when it was first seen to, on the monotonic clock."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {seconds:g} s\n{self.logs()}")
            time.sleep(pause)
        return time.monotonic()

    def logs(self) -> str:
        """The ends of all logs."""
        texts = {file.name: file.read_text(errors="replace") for file in sorted(self._logs.iterdir())}
        return "\n".join(f"{name}\n{text[-1000:]}" for name, text in texts.items() if text)


def _database_servers() -> list[psutil.Process]:
    """PostgreSQL and its backends; none for SQLite, which works inside the processes that use it."""
    return [child for child in psutil.Process().children(recursive=True) if child.name() == "postgres"]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def children_of(process: Process) -> list[psutil.Process]:
    """The processes that this one has started: the device process of a worker."""
    try:
        return psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []


@contextmanager
def site(kind: str, *, workers: int = 0, schedulers: int = 0, **knobs: Any) -> Iterator[Site]:
    """A fresh home on a fresh database with its processes running; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pixmill-", dir="/tmp"))  # short enough for sockets
    broker = Valkey(folder)
    broker.start()
    try:
        with database_server(kind, folder) as url:
            here = Site(folder, kind, url, broker, knobs)
            try:
                for _ in range(schedulers):
                    here.start_scheduler()
                here.start_workers(workers)
                yield here
            finally:
                here.stop()
    finally:
        broker.kill()
        shutil.rmtree(folder)
