"""Rows that somebody else has written: whatever a column holds, a round goes on with all other rows, and says so once.

The columns are those of the tables, so that a new one is among them by itself.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from db.engine import Database
from pixmill.sections import SchedulerSettings
from pixmill.settings import load_settings
from scheduler.bookkeeper import Bookkeeper
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.messenger import Messenger
from scheduler.pipelines import Conductor
from scheduler.schedules import Planner
from scheduler.tick import Ticker
from tests.conftest import Broker
from tests.databases import cloned_postgresql, drop_postgresql
from tests.receiver import Receiver, receiving
from tests.scheduler.corrupting import Copies, Spoiling, World, postgresql_copies, spoilings, sqlite_copies

# No round reads these.
UNREAD = {
    "checkpoints", "datasets", "evaluations", "job_dependencies", "log_pieces", "model_aliases", "model_events",
    "model_versions", "models", "registered_datasets", "schedule_runs", "schedulers", "shards", "task_dependencies",
    "totals",
}  # fmt: skip
# What they read no more of than whether it is there, or leave to the workers, or what is of another form alone: in SQL
# a strange state is none of those that a round looks for.
SILENT = {
    *(f"{column}: {what}" for column in ("jobs.spec", "jobs.options", "tasks.params", "tasks.progress", "tasks.result")
      for what in ("broken", "a list", "an object", "null")),
    *(f"{column}: an object" for column in ("jobs.labels", "notifications.facts", "pipeline_runs.document",
      "pipeline_runs.params", "pipeline_steps.values", "schedules.document")),
    *(f"{column}: a strange word" for column in ("attempts.outcome", "notifications.state", "pipeline_runs.state",
      "tasks.role")),
}  # fmt: skip
NIGHT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture(scope="module")
def sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    copies = sqlite_copies(sqlite_template, tmp_path_factory.mktemp("sqlite"))
    yield copies
    copies.close()


@pytest.fixture(scope="module")
def postgresql(postgres_server_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    made = cloned_postgresql(postgres_server_url)
    copies = postgresql_copies(postgres_server_url, made, tmp_path_factory.mktemp("postgresql"))
    yield copies
    copies.close()
    drop_postgresql(made, postgres_server_url)


@pytest.fixture(scope="module")
def sender(valkey_server: Broker) -> WakeUpSender:
    settings = load_settings(flags={"broker.url": valkey_server.url})
    return WakeUpSender(make_celery(settings), settings)


class Rounds:
    """One scheduler over one database, with all that it does beside its loop."""

    def __init__(self, database: Database, sender: WakeUpSender, receiver: Receiver) -> None:
        quick = SchedulerSettings().model_copy(
            update={"lease_seconds": 0.0, "canary_seconds": 0.0, "redispatch_seconds": 0.0}
        )
        notify = load_settings(flags={"notify.url": receiver.url, "notify.allow_private": True}).notify
        self.database = database
        self._ticker = Ticker(database, sender, quick)
        self._planner = Planner(database, lambda _session: NIGHT, outputs=None)
        self._conductor = Conductor(database, outputs=None)
        self._background = (Messenger(database, notify), Bookkeeper(database))

    def go(self) -> None:
        """All that a round is; nothing here may raise."""
        self._ticker.tick()
        self._planner.start_due()
        self._conductor.advance()
        for background in self._background:
            background.look()

    def told(self, statement: str, **values: object) -> list[str]:
        """What the database says in words."""
        with self.database.read() as session:
            return [str(row[0]) for row in session.execute(text(statement), values)]


def went_on(rounds: Rounds, world: World) -> dict[str, bool]:
    """Whether each thing of the good half has gone on."""
    acts = {
        name: set(rounds.told("SELECT action FROM events WHERE job_id = :id", id=job_id))
        for name, job_id in world.good.jobs.items()
    }
    wanted = {"plain": "queue", "chain": "queue", "array": "queue", "shut": "unqueue"}
    wanted |= {"running": "expire", "doomed": "failed"}
    found = {name: wanted[name] in acts[name] for name in wanted}
    called = "SELECT dispatched_at FROM tasks WHERE job_id = :id"  # again: nobody had noted that it left
    sent = "SELECT state FROM notifications WHERE subject = :subject"
    ran = "SELECT outcome FROM schedule_runs r JOIN schedules s ON s.id = r.schedule_id WHERE s.name = :name"
    steps = "SELECT state FROM pipeline_steps WHERE run_id = :run ORDER BY number"
    counted = "SELECT value FROM totals WHERE name = 'jobs_ended'"
    return found | {
        "called": "unqueue" in acts["called"] or rounds.told(called, id=world.good.jobs["called"]) != ["None"],
        "notification": rounds.told(sent, subject=world.good.subject) == ["sent"],
        "schedule": rounds.told(ran, name=world.good.schedule) == ["submitted"],
        "pipeline": rounds.told(steps, run=world.good.run) == ["succeeded", "submitted"],
        "totals": rounds.told(counted) != [],
    }


def check(
    copies: Copies, how: Spoiling, sender: WakeUpSender, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> list[logging.LogRecord]:
    """Two rounds end, and all others go on; gives the lines that tell of what cannot be read."""
    caplog.clear()
    with copies.spoilt(how) as database:
        rounds = Rounds(database, sender, receiver)
        for _ in range(2):
            rounds.go()
        stood_still = [name for name, went in went_on(rounds, copies.world).items() if not went]
    assert stood_still == [], how
    assert [record.message for record in caplog.records if record.exc_info] == [], how
    lines = [record for record in caplog.records if record.message.endswith("cannot be read")]
    told = [(record.message, record.__dict__["reason"]) for record in lines]
    assert len(told) == len(set(told)), how
    return lines


def test_every_table_is_either_spoilt_or_not_read(sqlite: Copies) -> None:
    assert {how.table for how in spoilings(sqlite=True)} - UNREAD == set(sqlite.world.spoilt)


READ = [how for how in spoilings(sqlite=True) if how.table not in UNREAD]
POSTGRESQL = [how for how in spoilings(sqlite=False) if how.table not in UNREAD]


@pytest.mark.parametrize("how", [how for how in READ if how.is_short], ids=str)
def test_words_and_json(
    sqlite: Copies, how: Spoiling, sender: WakeUpSender, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    lines = check(sqlite, how, sender, receiver, caplog)
    assert bool(lines) == (str(how) not in SILENT), how


@pytest.mark.long
@pytest.mark.parametrize("how", [how for how in READ if not how.is_short], ids=str)
def test_all_else(
    sqlite: Copies, how: Spoiling, sender: WakeUpSender, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    lines = check(sqlite, how, sender, receiver, caplog)
    assert bool(lines) == (str(how) not in SILENT) or how.sort != "json", how


@pytest.mark.long
@pytest.mark.parametrize("how", POSTGRESQL, ids=str)
def test_postgresql(
    postgresql: Copies, how: Spoiling, sender: WakeUpSender, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    check(postgresql, how, sender, receiver, caplog)
