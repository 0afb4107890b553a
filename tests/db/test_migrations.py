"""Each released schema, with rows in it, becomes the present one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import insert, select, text

from db.aliases import Deed, promote
from db.datasets import NewDataset, Registration, register_dataset
from db.engine import Database
from db.leases import Lease
from db.notifications import claim_next
from db.registry import list_versions, resolve_model
from db.schema import SchemaStatus, migration_config, require_current_schema, upgrade_schema
from db.tables.fleet import Device
from db.tables.jobs import Account, Attempt, Event, Job, Task, TaskDependency
from db.tables.models import Evaluation, ModelVersion, RegisteredDataset
from db.tables.published import Checkpoint, Shard
from db.tables.schedules import ScheduleRun
from db.telling import tell
from pixmill.schedules import Catchup
from pixmill.states import State
from scheduler.cron import parse_cron
from scheduler.schedules import Planner
from scheduler.timetable import add_schedule, make_schedule
from tests import rows
from tests.rows import act
from tests.scheduler.runs import Runs, pings

AT = "2026-01-02 03:04:05.678000"
MILLISECONDS = 1_767_323_045_000
FIRST = """
INSERT INTO queues (name) VALUES ('default'), ('nightly');
INSERT INTO devices (id, host, name, kind, model, memory_bytes) VALUES (1, 'here', 'cpu', 'cpu', 'a CPU', 1);
INSERT INTO workers (id, name, device_id, pid, version, started_at, seen_at)
    VALUES (1, 'here:cpu', 1, 7, '0.1', '{at}', '{at}');
INSERT INTO jobs (id, kind, name, state, queue, priority, spec, spec_digest, options, labels, user_name, progress_total,
    submitted_at) VALUES
    (1, 'generate', 'old', 'running', 'default', 0, '{{"n": 1}}', 'd', '{{}}', '{{}}', 'ann', 100, '{at}'),
    (2, 'train', 'older', 'pending', 'nightly', 5, '{{}}', 'd', '{{}}', '{{}}', 'bob', 100, '{at}');
INSERT INTO tasks (id, job_id, number, role, params, state, queue, priority, lease_epoch, dispatch_seq, worker_id,
    failures, progress, progress_done) VALUES
    (1, 1, 0, 'generate', '{{"first_shard": 0}}', 'running', 'default', 0, 3, 4, 1, 1, '{{}}', 40),
    (2, 1, 1, 'assemble', '{{}}', 'pending', 'default', 0, 0, 0, NULL, 0, '{{}}', 0),
    (3, 2, 0, 'train', '{{}}', 'pending', 'nightly', 5, 0, 0, NULL, 0, '{{}}', 0),
    (9, 2, 1, 'train', '{{}}', 'pending', 'nightly', 5, 0, 0, NULL, 0, '{{}}', 0);
DELETE FROM tasks WHERE id = 9;
INSERT INTO task_dependencies (task_id, parent_id) VALUES (2, 1);
INSERT INTO attempts (id, task_id, lease_epoch, worker_id, folder, started_at)
    VALUES (1, 1, 3, 1, 'runs/1/1/3', '{at}');
INSERT INTO checkpoints (id, task_id, lease_epoch, kind, images_seen, path, sha256, size_bytes, created_at)
    VALUES (1, 3, 1, 'last', 10, 'p', 's', 1, '{at}');
INSERT INTO shards (id, job_id, task_id, lease_epoch, number, folder, record, image_count, size_bytes, created_at)
    VALUES (1, 1, 1, 3, 0, 'runs/1/1/3', '{{}}', 10, 10, '{at}');
INSERT INTO events (id, at, job_id, task_id, actor, action) VALUES (1, '{at}', 1, 1, 'ann', 'submit');
"""
LAST_IDS = {
    "jobs": 2,
    "tasks": 9,
    "attempts": 1,
    "checkpoints": 1,
    "shards": 1,
    "events": 1,
    "devices": 1,
    "workers": 1,
}
SEQUENCES = "SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})"


def upgrade(database: Database, revision: str) -> None:
    """No further than to this one."""
    config = migration_config()
    with database.migrate() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@pytest.fixture
def first(empty_database: Database) -> Database:
    """A database of the first schema, with a running and a waiting job."""
    upgrade(empty_database, "0001")
    with empty_database.migrate() as connection:
        at = AT if empty_database.is_sqlite else f"{AT}+00"
        for statement in FIRST.format(at=at).split(";\n"):
            if statement.strip():
                connection.execute(text(statement.replace(":", r"\:")))
        if not empty_database.is_sqlite:
            for table, last in LAST_IDS.items():
                connection.execute(text(SEQUENCES.format(table=table, last=last)))
    return empty_database


def test_the_first_schema_becomes_the_present_one_and_keeps_every_row(first: Database) -> None:
    before, backup = upgrade_schema(first)
    assert (before.status, before.current) == (SchemaStatus.BEHIND, "0001")
    assert (backup is not None) == first.is_sqlite
    require_current_schema(first)
    with first.read() as session:
        for table, count in (
            (Job, 2),
            (Task, 3),
            (TaskDependency, 1),
            (Attempt, 1),
            (Checkpoint, 1),
            (Shard, 1),
            (Event, 1),
        ):
            assert len(session.scalars(select(table)).all()) == count, table
        task = session.get_one(Task, 1)
        assert (task.user_name, task.lease_epoch, task.dispatch_seq, task.failures) == ("ann", 3, 4, 1)
        assert (task.params, task.progress_done, task.stop_to, task.retries) == ({"first_shard": 0}, 40, None, 0)
        assert [row.rank // 1000 for row in session.scalars(select(Task).order_by(Task.id))] == [
            MILLISECONDS // 1000,
            MILLISECONDS // 1000,
            MILLISECONDS // 1000 - 5 * 60,
        ]
        accounts = session.scalars(select(Account).order_by(Account.user_name)).all()
        assert [(row.queue, row.user_name, row.device_seconds) for row in accounts] == [
            ("default", "ann", 0.0),
            ("nightly", "bob", 0.0),
        ]


def test_the_second_schema_becomes_the_present_one_and_marks_what_waits(first: Database) -> None:
    upgrade(first, "0002")
    before, _backup = upgrade_schema(first)
    assert (before.status, before.current) == (SchemaStatus.BEHIND, "0002")
    require_current_schema(first)
    with first.read() as session:
        tasks = session.scalars(select(Task).order_by(Task.id)).all()
    assert [(task.id, task.blocked) for task in tasks] == [(1, False), (2, True), (3, False)]
    assert (tasks[0].user_name, tasks[0].lease_epoch, tasks[0].params) == ("ann", 3, {"first_shard": 0})


def test_the_third_schema_gets_a_place_for_registered_data_sets(first: Database) -> None:
    upgrade(first, "0003")
    before, backup = upgrade_schema(first)
    assert (before.status, before.current) == (SchemaStatus.BEHIND, "0003")
    assert (backup is not None) == first.is_sqlite
    require_current_schema(first)
    described = {"image_size": 8, "channels": 1, "images": 2, "fingerprint": "f" * 64, "content_fingerprint": "c" * 64}
    new = NewDataset(name="cats", source="folder:/c", on_bad_image="fail", description=described, user_name="ann")
    assert act(first, register_dataset, new) is Registration.ADDED
    with first.read() as session:
        assert [row.name for row in session.scalars(select(RegisteredDataset))] == ["cats"]
        assert len(session.scalars(select(Task)).all()) == 3


def test_the_upgraded_database_goes_on_with_its_jobs(first: Database) -> None:
    upgrade_schema(first)
    assert [wake_up.task_id for wake_up in rows.queue(first)] == [3]
    lease: Lease = rows.claimed(first, rows.add_worker(first))
    assert (lease.task_id, lease.epoch) == (3, 1)
    job_id = rows.add(first)
    assert [task.id for task in rows.tasks(first, job_id)] == [10], "an id is never given twice"
    assert rows.states(first, 1) == [State.RUNNING, State.PENDING]


def test_the_rebuilt_table_still_guards_what_refers_to_it(first: Database) -> None:
    upgrade_schema(first)
    with pytest.raises(Exception, match=r"(?i)foreign key"), first.write() as session:
        session.execute(insert(TaskDependency), {"task_id": 77, "parent_id": 1})
    with first.write() as session:
        session.execute(text("DELETE FROM tasks WHERE id = 1"))
    with first.read() as session:
        assert session.scalars(select(Attempt)).all() == []


def stored_tasks(database: Database) -> list[dict[str, Any]]:
    """All columns that there are, whatever the present schema has."""
    with database.read() as session:
        found = session.execute(text("SELECT * FROM tasks ORDER BY id")).mappings()
        return [dict(row) for row in found]


def kept(database: Database, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is left of the old columns; later schemas add others."""
    return [{name: task[name] for name in old[0]} for task in stored_tasks(database)]


def test_the_fifth_schema_gives_every_task_one_device(first: Database) -> None:
    upgrade(first, "0005")
    old = stored_tasks(first)
    upgrade_schema(first)
    require_current_schema(first)
    assert kept(first, old) == old
    assert [task["devices"] for task in stored_tasks(first)] == [1, 1, 1]
    with first.read() as session:
        assert session.scalars(select(Device.width)).all() == [1]
    wide = rows.add(first, devices=2)
    assert rows.claimed(first, rows.add_worker(first)).job_id == 2
    assert rows.try_claim(first, rows.add_worker(first, host="there")) is None
    assert rows.claimed(first, rows.add_worker(first, width=2)).job_id == wide


def test_the_sixth_schema_gets_a_place_for_schedules(first: Database) -> None:
    upgrade(first, "0006")
    old = stored_tasks(first)
    upgrade_schema(first)
    require_current_schema(first)
    assert kept(first, old) == old
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    new = make_schedule(
        name="nightly",
        cron=parse_cron("0 2 * * *", "Europe/Zurich"),
        document={"kind": "ping"},
        overlap=None,
        catchup=Catchup.LATEST,
        deadline_seconds=None,
        jitter_seconds=0.0,
        blackouts=(),
        user_name="ann",
    )
    assert act(first, add_schedule, new, at, outputs=None)
    assert Planner(first, lambda _session: at + timedelta(hours=14), outputs=None).start_due() == 1
    with first.read() as session:
        assert [run.job_id for run in session.scalars(select(ScheduleRun))] == [3]
    columns = "schedule_id, scheduled_for, outcome, decided_at"
    with pytest.raises(Exception, match=r"(?i)unique"), first.write() as session:
        session.execute(text(f"INSERT INTO schedule_runs ({columns}) SELECT {columns} FROM schedule_runs"))


def test_the_tenth_schema_gets_a_place_for_pipelines(first: Database) -> None:
    upgrade(first, "0010")
    old = stored_tasks(first)
    before, backup = upgrade_schema(first)
    assert (before.current, backup is not None) == ("0010", first.is_sqlite)
    require_current_schema(first)
    assert kept(first, old) == old
    runs = Runs(first)
    run_id = runs.begin(pings(one={}, two={"after": ["one"]}))
    assert runs.look() == 1
    assert runs.job(run_id, "one").id == 3
    for table, column in (("pipeline_runs", "state"), ("pipeline_steps", "state")):
        with pytest.raises(Exception, match=r"(?i)check"), first.write() as session:
            session.execute(text(f"UPDATE {table} SET {column} = 'dreaming'"))


def test_the_thirteenth_schema_gets_a_place_for_arrays(first: Database) -> None:
    upgrade(first, "0013")
    old = stored_tasks(first)
    before, backup = upgrade_schema(first)
    assert (before.current, backup is not None) == ("0013", first.is_sqlite)
    require_current_schema(first)
    assert kept(first, old) == old
    assert {(task["limited_by"]) for task in stored_tasks(first)} == {None}
    (job_id, _other) = rows.add_array(first, range(2), limit=1)
    assert job_id == 3, "an id is never given twice"
    assert {task.limited_by for task in rows.tasks(first, job_id)} == {job_id}
    assert (rows.job(first, 1).array_id, rows.job(first, job_id).title) == (None, "line[0]")
    with pytest.raises(Exception, match=r"(?i)unique"), first.write() as session:
        session.execute(text("UPDATE jobs SET array_index = 0 WHERE id = 4"))


def test_the_last_schema_takes_tasks_that_compress_and_no_others_beside_them(first: Database) -> None:
    upgrade(first, "0004")
    old = stored_tasks(first)
    upgrade_schema(first)
    require_current_schema(first)
    assert kept(first, old) == old
    for role in ("compress", "decompress", "gate"):
        with first.write() as session:
            session.execute(text("UPDATE tasks SET role = :role WHERE id = 3"), {"role": role})
    with pytest.raises(Exception, match=r"(?i)check"), first.write() as session:
        session.execute(text("UPDATE tasks SET role = 'dream' WHERE id = 3"))


VERSIONS = """
INSERT INTO datasets (id, name, fingerprint, description, added_at) VALUES (1, 'digits', 'f', '{{}}', '{at}');
INSERT INTO models (id, name, created_at) VALUES (1, 'line', '{at}');
INSERT INTO model_versions (id, model_id, version, job_id, dataset_id, preset, folder, digest, image_size, channels,
    classes, images_seen, lineage, created_at) VALUES
    (1, 1, 1, 1, 1, 'vae', 'runs/1/1/3/model', 'd', 8, 1, '[]', 10, '{{"seed": 3}}', '{at}'),
    (2, 1, 2, 2, 1, 'vae', 'runs/2/3/1/model', 'e', 8, 1, '[]', 20, '{{}}', '{at}');
"""


EVALUATIONS = """
INSERT INTO evaluations (id, job_id, output_job_id, model_version_id, dataset_id, image_count, metrics, created_at)
    VALUES (7, 1, 1, 1, 1, 40, '[{{"name": "kid"}}]', '{at}');
"""


def test_the_eighth_schema_lets_one_job_measure_two_models(first: Database) -> None:
    upgrade(first, "0008")
    old = stored_tasks(first)
    with first.migrate() as connection:
        at = AT if first.is_sqlite else f"{AT}+00"
        for statement in (VERSIONS + EVALUATIONS).format(at=at).strip().split(";\n"):
            connection.execute(text(statement.rstrip().rstrip(";").replace(":", r"\:")))
    upgrade_schema(first)
    require_current_schema(first)
    assert kept(first, old) == old
    second = "SELECT {id}, job_id, output_job_id, {version}, dataset_id, image_count, metrics, created_at"
    columns = "id, job_id, output_job_id, model_version_id, dataset_id, image_count, metrics, created_at"
    add = f"INSERT INTO evaluations ({columns}) {second} FROM evaluations WHERE id = 7"
    with first.write() as session:
        session.execute(text(add.format(id=8, version=2)))
    with first.read() as session:
        found = session.scalars(select(Evaluation).order_by(Evaluation.id)).all()
        assert [(row.id, row.model_version_id, row.metrics) for row in found] == [
            (7, 1, [{"name": "kid"}]),
            (8, 2, [{"name": "kid"}]),
        ]
    with pytest.raises(Exception, match=r"(?i)unique"), first.write() as session:
        session.execute(text(add.format(id=9, version=2)))
    with pytest.raises(Exception, match=r"(?i)foreign key"), first.write() as session:
        session.execute(text(add.format(id=9, version=77)))


def test_the_sixth_schema_gives_models_aliases_and_keeps_their_versions(first: Database) -> None:
    upgrade(first, "0006")
    with first.migrate() as connection:
        at = AT if first.is_sqlite else f"{AT}+00"
        for statement in VERSIONS.format(at=at).strip().split(";\n"):
            connection.execute(text(statement.replace(":", r"\:")))
    before, _backup = upgrade_schema(first)
    assert before.current == "0006"
    require_current_schema(first)
    with first.read() as session:
        newest, older = list_versions(session, "line")
        assert (newest.version, newest.removed_at, newest.model.frozen) == (2, None, False)
        assert (older.lineage, older.digest) == ({"seed": 3}, "d")
    act(first, promote, "line@1", "champion", Deed(actor="ann"))
    with first.read() as session:
        assert resolve_model(session, "line@champion") is session.get(ModelVersion, 1)
    for table in ("model_aliases (name, version, ", "model_events (number, actor, action, at, from_version, "):
        values = "'x', 7, 1" if "aliases" in table else "9, 'ann', 'x', CURRENT_TIMESTAMP, 7, 1"
        with pytest.raises(Exception, match=r"(?i)foreign key"), first.write() as session:
            session.execute(text(f"INSERT INTO {table}model_id) VALUES ({values})"))


def test_the_eighth_schema_gets_a_place_for_notifications(first: Database) -> None:
    upgrade(first, "0008")
    old = stored_tasks(first)
    before, _backup = upgrade_schema(first)
    assert before.current == "0008"
    require_current_schema(first)
    assert kept(first, old) == old
    act(first, tell, "job.failed", "job 1", {"job_id": 1})
    claimed = act(first, claim_next, 30.0)
    assert claimed is not None
    assert (claimed.id, claimed.tries, claimed.count, claimed.facts) == (1, 1, 1, {"job_id": 1})
    with pytest.raises(Exception, match=r"(?i)check"), first.write() as session:
        session.execute(text("UPDATE notifications SET state = 'dreamt'"))
