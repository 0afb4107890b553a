"""Three hosts, TLS everywhere, rights no wider than documented, and one of them cut off: nothing is lost or doubled.

What is not shown here: the storage root is a folder that all hosts see, on one file system, and is not cut with the
rest; a network file system that hangs is another matter.
"""

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from sqlalchemy import URL, select

from db.engine import Database, open_database
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Job, Outcome
from pixmill.settings import load_settings
from pixmill.states import State
from storage.paths import Layout
from storage.s3.bucket import Bucket
from tests.acceptance.hosts import Host, Servers, standing
from tests.databases import APP_ROLE, administrate, as_application, cloned_postgresql, drop_postgresql
from tests.faults.checker import Known, check_history
from tests.faults.files import check_local_files
from tests.faults.history import History, read_history
from tests.faults.resume import check_resume
from tests.faults.witness import install_witness
from tests.rights import broker_rules
from tests.s3 import S3Server
from tests.servers import Valkey, running_valkey
from tests.tls import Authority
from tests.waiting import wait_until

LEASE_SECONDS = 5.0
WAIT_SECONDS = 300.0  # on a machine that is busy with something else
LOOK_SECONDS = 0.3
TRIES = 20
IMAGES, SHARD = 48_000, 1_000
SETTINGS = {
    "scheduler.tick_seconds": 0.5,
    "scheduler.lease_seconds": LEASE_SECONDS,
    "scheduler.redispatch_seconds": 2.0,
    "worker.heartbeat_seconds": 0.5,
    "worker.idle_heartbeat_seconds": 1.0,
    "worker.checkpoint_seconds": 0.5,
    "worker.threads": 1,
    "database.busy_timeout_seconds": 5.0,
    "database.connect_timeout_seconds": 20.0,  # for commands on a busy machine
}
SMALL = {"width": 8, "latent_size": 8, "feature_size": 16}
TRAIN = {"kind": "train", "model": "vae", "dataset": "digits", "image_size": 16, "conditional": True, "options": SMALL}
NIGHT = {
    "kind": "pipeline",
    "name": "night",
    "params": {"name": None},  # of the model: a day has one promotion of each
    "steps": {
        "train": {**TRAIN, "name": "${params.name}", "images": 30_000},
        "sample": {"kind": "generate", "model": "${train.model}", "n": 400, "shard_size": 200},
        "evaluate": {"kind": "evaluate", "output": "${sample.job}", "n": 400, "usefulness": False},
        "gate": {
            "kind": "gate",
            "model": "${train.model}",
            "images": 100,
            "seeds": 2,
            "gates": {"exact_copies": {"max": 1.0}},
            "after": ["evaluate"],
        },
        "promote": {"kind": "promote", "model": "${train.model}", "gate": "gate", "auto": True},
        "bulk": {
            "kind": "generate",
            "model": "${params.name}@champion",
            "n": 6_000,
            "shard_size": 500,
            "when": "${promote.promoted}",
        },
    },
}


@dataclass
class Site:
    """The servers, the hosts, and what a witness sees of the database."""

    hosts: Sequence[Host]
    database: Database  # as its owner, past every cable
    layout: Layout

    @property
    def desk(self) -> Host:
        """Where commands are given."""
        return self.hosts[0]

    def submit(self, **spec: Any) -> int:
        file = self.layout.root / "job.yaml"
        file.write_text(yaml.safe_dump(spec))
        return int(self.desk.run("submit", "-f", str(file), "-q"))

    def begin_night(self, model: str) -> int:
        file = self.layout.root / "night.yaml"
        file.write_text(yaml.safe_dump(NIGHT))
        return int(self.desk.run("pipeline", "run", "-f", str(file), "--set", f"name={model}", "-q"))

    def history(self) -> History:
        return read_history(self.database)

    def wait_for(self, condition: Any) -> Any:
        """Wait until it is so; the failure of a test shows every log."""
        try:
            return wait_until(condition, WAIT_SECONDS, pause=0.2, longest_pause=0.5)
        except AssertionError as error:
            logs = [f"{host.name} {part}:\n{host.log(part)[-3000:]}" for host in self.hosts for part in host.processes]
            raise AssertionError("\n".join([str(error), *logs])) from None

    def job(self, job_id: int) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def steps(self, run: int) -> dict[str, Any]:
        document = json.loads(self.desk.run("pipeline", "show", str(run), "-o", "json"))
        return {step["name"]: step for step in document["item"]["steps"]}

    def attempts_on(self, host: Host, **where: Any) -> list[Attempt]:
        """Of tasks that run, or ran, on this host; the newest first."""
        found = select(Attempt).join(Worker, Worker.id == Attempt.worker_id).where(Worker.name == f"{host.name}:cpu")
        with self.database.read() as session:
            rows = session.scalars(found.order_by(Attempt.id.desc())).all()
        return [row for row in rows if all(getattr(row, key) == value for key, value in where.items())]

    def cut_at_work(self, host: Host) -> int:
        """Cut this host off while it runs a task; the id of the attempt."""
        for _ in range(TRIES):
            (held, *_others) = wait_until(lambda: self.attempts_on(host, outcome=None), WAIT_SECONDS, pause=0.02)
            host.cable.cut()
            time.sleep(LOOK_SECONDS)  # what was under way still arrives
            if self.attempts_on(host, id=held.id, outcome=None):
                return held.id
            host.cable.mend()
        raise AssertionError(f"{host.name} ends its tasks before it can be cut off")

    def finish(self, job: int, run: int) -> None:
        self.wait_for(lambda: self.job(job).state.is_terminal)
        assert self.job(job).state is State.SUCCEEDED, self.job(job).message
        shown = self.wait_for(lambda: self.ended(run))
        assert shown["state"] == "succeeded", shown

    def ended(self, run: int) -> Any:
        shown = json.loads(self.desk.run("pipeline", "show", str(run), "-o", "json"))["item"]
        return shown if shown["state"] not in ("running", "pending") else None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Valkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def site(
    redis_server: Valkey,
    postgres_server_url: URL,
    s3_server: S3Server,
    bucket: Bucket,
    tmp_path: Path,
) -> Iterator[Site]:
    """Three hosts with a worker each; schedulers on the first two."""
    password = secrets.token_hex(16)
    with redis_server.client() as client:
        rules = ["reset", "on", f">{password}", *broker_rules()]
        client.execute_command("ACL", "SETUSER", "pixmill", *rules)
        client.execute_command("ACL", "SETUSER", "default", "off")
    url = cloned_postgresql(postgres_server_url)
    text = url.render_as_string(hide_password=False)
    owner = open_database(load_settings(flags={"home": tmp_path, "database.url": text}))
    administrate(url, f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {APP_ROLE}")  # of the witness alone
    administrate(url, f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {APP_ROLE}")
    install_witness(owner)
    login = urlsplit(as_application(text)).netloc.split("@")[0]
    folder = Path(str(url.query["host"])) if url.host is None else None
    servers = Servers(
        redis=redis_server.socket,
        postgres=folder / ".s.PGSQL.5432" if folder else (str(url.host), url.port or 5432),
        s3=("127.0.0.1", s3_server.port),
        redis_login=f"pixmill:{password}",
        postgres_login=login,
        database=str(url.database),
    )
    root = tmp_path / "root"
    root.mkdir()
    authority = Authority(tmp_path)
    settings = SETTINGS | {"storage.root": root, "storage.outputs": bucket.url("made")}
    with standing(("north", "east", "south"), tmp_path, servers, authority, settings) as hosts:
        for host in hosts:
            if host is not hosts[2]:
                host.start("scheduler", "scheduler", "run")
            host.start("worker", "worker", "start", "--device", "cpu")
        yield Site(hosts, owner, Layout(root))
    owner.dispose()
    drop_postgresql(url, postgres_server_url)


def made(site: Site, job_id: int | None) -> list[str]:
    """The digest of the model, or of each archive of the data set, that this job has published."""
    history = site.history()
    models = [version.digest for version in history.versions if version.job_id == job_id]
    return models + [str(shard.record["tar_sha256"]) for shard in history.shards if shard.job_id == job_id]


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_host_that_is_cut_off_for_two_leases_and_returns_loses_and_doubles_nothing(site: Site) -> None:
    lost = site.hosts[1]  # it has a scheduler and a worker
    calm = site.begin_night("calm")
    site.wait_for(lambda: site.steps(calm)["promote"]["state"] == "succeeded")
    bulk = {"kind": "generate", "model": "calm@1", "n": IMAGES, "shard_size": SHARD, "seed": 3}
    undisturbed = site.submit(**bulk)
    site.finish(undisturbed, calm)

    hurt, job = site.begin_night("hurt"), site.submit(**bulk, labels={"try": "2"})
    held = site.cut_at_work(lost)
    began = time.monotonic()
    site.wait_for(lambda: site.attempts_on(lost, id=held, outcome=Outcome.LOST))
    site.wait_for(lambda: time.monotonic() - began > 2 * LEASE_SECONDS)
    lost.cable.mend()
    site.finish(job, hurt)
    site.wait_for(lambda: site.submit(kind="ping") and site.attempts_on(lost)[0].id > held)  # it works again
    site.wait_for(lambda: all(job.state.is_terminal for job in site.history().jobs))

    expect_nothing_broken(site, [undisturbed, job])
    assert [host.log(part) for host in site.hosts for part in host.processes if host.processes[part].poll()] == []
    steps = site.steps(calm)
    for name, step in site.steps(hurt).items():
        assert made(site, step["job_id"]) == made(site, steps[name]["job_id"]), name
    assert made(site, job) == made(site, undisturbed)
    assert len(made(site, job)) == IMAGES // SHARD
    tasks = [task for task in site.history().tasks if task.lost_leases]
    assert tasks, "no lease was lost"


def expect_nothing_broken(site: Site, jobs: Sequence[int]) -> None:
    """Rows, journals, files and objects keep all promises."""
    history = site.history()
    known = Known(may_fail=(), may_be_cancelled=())
    assert check_history(history, known, at_rest=True) == []
    assert [*check_local_files(history, site.layout)] == []
    assert [*check_resume(history, site.layout, ())] == []
    for job in jobs:
        site.desk.run("output", "verify", str(job))  # reads every object again
