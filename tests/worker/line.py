"""A whole production line for tests: a scheduler and a worker as real processes over one home."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from db.engine import open_database
from db.finding import get_job
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Job, Task
from db.tables.published import Checkpoint, Shard
from db.views import job_attempts, job_shards, job_tasks
from pixmill.logs import FORMAT, LEVEL
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, Spec
from pixmill.states import State
from scheduler.submit import submit
from tests.servers import die_with_parent
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
JOB_SECONDS = 60.0  # far more than any job of these tests takes; only a hang gets there

_SCHEDULER = """
from pixmill.logs import log_to_stderr
from pixmill.settings import load_settings
from scheduler.loop import run_scheduler
try:
    log_to_stderr("auto")
except ValueError:  # a release that asked for a level there
    log_to_stderr()
run_scheduler(load_settings())
"""
_WORKER = """
import sys
from pixmill.logs import log_to_stderr
from pixmill.settings import load_settings
from worker.parent.main import run_worker
try:
    log_to_stderr("auto")
except ValueError:  # a release that asked for a level there
    log_to_stderr()
run_worker(load_settings(), sys.argv[1])
"""
# Everything that a person would not wait for in a test happens ten times as often.
_QUICK = {
    "scheduler.tick_seconds": 0.5,
    "scheduler.lease_seconds": 10.0,
    "worker.heartbeat_seconds": 0.1,
    "worker.idle_heartbeat_seconds": 0.5,
    "worker.checkpoint_seconds": 0.2,
    "worker.threads": 1,
}


class Line:
    """The processes of one home, and what can be seen of them from outside: rows, files, logs, process ids."""

    source = REPOSITORY  # whose code they run

    def __init__(self, home: Path, database_url: str, broker_url: str, *, quick: bool = True, **knobs: Any) -> None:
        """`knobs` are settings of the processes alone, with `__` for the dot; `quick` shortens its periods."""
        self.home = home
        flags = {"home": home, "database.url": database_url, "broker.url": broker_url}
        self.settings = load_settings(flags=flags)
        self.database = open_database(self.settings)
        self._flags = {
            **flags,
            **(_QUICK if quick else {}),
            **{key.replace("__", "."): value for key, value in knobs.items()},
        }
        self.variables: dict[str, dict[str, str]] = {}  # of the environment, by the name of the process
        self._logs = home / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start what does not run; returns when the worker can take a task."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.scheduler = self._spawn("scheduler", _SCHEDULER)
        if self.worker is None or self.worker.poll() is not None:
            self.worker = self._spawn("worker", _WORKER, "cpu")
            wait_until(self._worker_is_ready, timeout=JOB_SECONDS)

    def _spawn(self, name: str, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        variables = {f"PIXMILL_{key.replace('.', '_')}".upper(): str(value) for key, value in self._flags.items()}
        # What the test process was told of logs is not meant for these, and older releases would refuse the names.
        inherited = {name: value for name, value in os.environ.items() if name not in (FORMAT, LEVEL)}
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdout=log,
                stderr=log,
                cwd=self.source,
                env={**inherited, **variables, **self.variables.get(name, {})},
                preexec_fn=die_with_parent,  # noqa: PLW1509  a test run that is killed leaves no line behind
            )

    def _worker_is_ready(self) -> bool:
        assert self.worker is not None
        assert self.worker.poll() is None, self.log("worker")
        with self.database.read() as session:
            ready = select(Worker.id).where(Worker.pid == self.worker.pid, Worker.stopped_at.is_(None))
            return session.scalar(ready) is not None

    def stop(self) -> None:
        """End everything, gently if it can be had within a few seconds."""
        for process in (self.worker, self.scheduler):
            if process is not None and process.poll() is None:
                process.terminate()
        for process in (self.worker, self.scheduler):
            if process is not None:
                _reap(process)
        self.database.dispose()

    def terminate_worker(self) -> int:
        """SIGTERM to the worker; its exit status."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGTERM)
        return self.worker.wait(JOB_SECONDS)

    def kill_worker(self) -> None:
        """SIGKILL to the worker."""
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait()

    @property
    def device_process(self) -> psutil.Process:
        """The worker's child."""
        assert self.worker is not None
        (child,) = psutil.Process(self.worker.pid).children()
        return child

    def submit(self, spec: Spec, **options: Any) -> int:
        """Submit a job as the command line does; its id."""
        return submit(self.database, self.settings, spec, JobOptions(**options), user="tester").job_id

    def run(self, spec: Spec, **options: Any) -> int:
        """Submit a job and wait until it has succeeded; its id."""
        job_id = self.submit(spec, **options)
        assert self.wait(job_id) is State.SUCCEEDED, self.story(job_id)
        return job_id

    def wait(self, job_id: int) -> State:
        """The state in which the job ended."""
        self.wait_for(lambda: self.job(job_id).state.is_terminal, job_id)
        return self.job(job_id).state

    def wait_for(self, condition: Callable[[], object], job_id: int) -> None:
        """Wait until `condition` holds; the failure of a test tells what the job did instead."""
        try:
            wait_until(condition, timeout=JOB_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(job_id)}") from None

    def wait_for_training(self, job_id: int) -> None:
        """Wait until a checkpoint is published that holds some training."""
        self.wait_for(lambda: any(row.images_seen for row in self.checkpoints(job_id)), job_id)

    def job(self, job_id: int) -> Job:
        """The job's row."""
        with self.database.read() as session:
            return get_job(session, job_id)

    def tasks(self, job_id: int) -> Sequence[Task]:
        """The job's tasks by number."""
        with self.database.read() as session:
            return job_tasks(session, job_id)

    def task(self, job_id: int) -> Task:
        """The job's first task."""
        return self.tasks(job_id)[0]

    def attempts(self, job_id: int) -> list[Attempt]:
        """The attempts of the job's tasks, oldest first."""
        with self.database.read() as session:
            return [attempt for attempt, _task, _worker in job_attempts(session, job_id)]

    def shards(self, job_id: int) -> Sequence[Shard]:
        """The job's published shards by number."""
        with self.database.read() as session:
            return job_shards(session, job_id)

    def checkpoints(self, job_id: int) -> Sequence[Checkpoint]:
        """Published checkpoints to resume from, newest first."""
        statement = select(Checkpoint).join(Task).where(Task.job_id == job_id, Checkpoint.kind == "last")
        with self.database.read() as session:
            return session.scalars(statement.order_by(Checkpoint.id.desc())).all()

    def path(self, relative: str) -> Path:
        """A file that a row names."""
        return self.settings.storage_root / relative

    def job_log(self, job_id: int) -> str:
        """What the job's attempts wrote, one after the other."""
        files = [self.path(attempt.folder) / "log.txt" for attempt in self.attempts(job_id)]
        return "".join(file.read_text(encoding="utf-8") for file in files if file.exists())

    def images_resumed_at(self, job_id: int) -> int:
        """How far the training had come from which the job's one later attempt went on."""
        (found,) = re.findall(r"going on from \S+, (\d+) images seen", self.job_log(job_id))
        return int(found)

    def log(self, name: str) -> str:
        """What the process called `name` wrote to stderr."""
        return (self._logs / f"{name}.log").read_text(encoding="utf-8")

    def story(self, job_id: int) -> str:
        """All that may explain why a job did not do as expected."""
        job = self.job(job_id)
        head = f"job {job.id}: {job.state} {job.reason} {job.message}"
        return "\n".join(
            [head, self.job_log(job_id)[-2000:], self.log("worker")[-4000:], self.log("scheduler")[-2000:]]
        )


def _reap(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
