import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from db import schema
from db.engine import Database, open_database
from db.schema import (
    HEAD,
    REVISIONS,
    VERSION_TABLE,
    SchemaStatus,
    migration_config,
    prepare_schema,
    require_current_schema,
    schema_state,
    upgrade_schema,
)
from db.tables.all import Table
from pixmill.errors import DatabaseUnreachable, SchemaMismatch
from pixmill.settings import load_settings
from tests import rows
from tests.errands import prepare_once, run_in_processes

NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("note", sa.Text(), nullable=True))
    {then}
"""


def set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A migrated database that no other test shares."""
    upgrade_schema(empty_database)
    return empty_database


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This code with one more migration, in a folder of its own; gives the new migration's file."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(schema.__file__).parent / "migrations", folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "versions" / "next.py"
    file.write_text(NEXT_MIGRATION.format(head=HEAD, then="pass"))
    config = migration_config()
    config.set_main_option("script_location", str(folder))
    monkeypatch.setattr(schema, "migration_config", lambda: config)
    monkeypatch.setattr(schema, "REVISIONS", (*REVISIONS, "next"))
    monkeypatch.setattr(schema, "HEAD", "next")
    return file


def test_the_constants_name_the_migrations_that_are_there() -> None:
    scripts = ScriptDirectory.from_config(migration_config())
    assert scripts.get_heads() == [HEAD]
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_an_empty_database_gets_the_schema(empty_database: Database) -> None:
    assert schema_state(empty_database).status is SchemaStatus.EMPTY
    state, backup = upgrade_schema(empty_database)
    assert (state.status, backup) == (SchemaStatus.EMPTY, None)
    require_current_schema(empty_database)
    rows.add(empty_database)


def test_the_migrations_lead_to_the_very_tables_that_the_code_uses(database: Database) -> None:
    with database.engine.connect() as connection:
        options = {"compare_type": True, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []


def test_the_constraints_have_the_same_names_on_both(database: Database) -> None:
    inspector = inspect(database.engine)
    for table in Table.metadata.sorted_tables:
        expected = {str(constraint.name) for constraint in table.constraints} - {f"pk_{table.name}"}
        found = set()
        for listed in (
            inspector.get_foreign_keys(table.name),
            inspector.get_unique_constraints(table.name),
            inspector.get_check_constraints(table.name),
        ):
            found |= {constraint["name"] for constraint in listed}
        assert found == expected, table.name


def test_what_only_one_database_is_told_stands_in_the_migrations(database: Database) -> None:
    indexes = inspect(database.engine).get_indexes("tasks")
    named = {
        index["name"] for index in indexes if any(key.endswith("_where") for key in index.get("dialect_options", ()))
    }
    assert named == {"ix_tasks_available_at"}
    if database.is_sqlite:
        with database.read() as session:
            numbered = session.scalars(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")).all()
        assert set(numbered) == {"jobs", "tasks", "notifications", "pipeline_runs"}


def test_preparing_twice_changes_nothing(empty_database: Database) -> None:
    prepare_schema(empty_database)
    job_id = rows.add(empty_database)
    prepare_schema(empty_database)
    assert rows.job(empty_database, job_id).name == "line"


def test_processes_that_prepare_at_once_all_succeed(empty_database: Database, tmp_path: Path) -> None:
    url = empty_database.engine.url.render_as_string(hide_password=False)
    flags = {"home": str(tmp_path), "database.url": url}
    assert run_in_processes(prepare_once, flags, count=4) == ["prepared"] * 4
    assert schema_state(empty_database).status is SchemaStatus.OK


def test_threads_that_prepare_at_once_all_succeed(tmp_path: Path) -> None:
    for attempt in range(5):
        databases = [open_database(load_settings(flags={"home": tmp_path / str(attempt)})) for _ in range(4)]
        assert rows.run_all(*[partial(prepare_schema, own) for own in databases]) == [None] * 4
        for database in databases:
            database.dispose()


def test_an_empty_database_is_refused_with_the_remedy(empty_database: Database) -> None:
    with pytest.raises(SchemaMismatch, match="is empty") as caught:
        require_current_schema(empty_database)
    assert caught.value.hint == "pixmill db upgrade"


def test_a_database_of_a_newer_pixmill_is_left_alone(database: Database) -> None:
    set_revision(database, "9999")
    for act in (require_current_schema, upgrade_schema, prepare_schema):
        with pytest.raises(SchemaMismatch, match="9999") as caught:
            act(database)
        assert caught.value.hint is not None
        assert "upgrade pixmill" in caught.value.hint
    assert schema_state(database).current == "9999"


def test_an_older_database_says_how_far_it_is_behind(database: Database, newer: Path) -> None:
    with pytest.raises(SchemaMismatch, match=rf"1 revision\(s\) behind \({HEAD} → next\)") as caught:
        prepare_schema(database)
    assert caught.value.hint == "back up, then: pixmill db upgrade"


def test_an_upgrade_keeps_the_rows(database: Database, newer: Path) -> None:
    job_id = rows.add(database)
    state, _ = upgrade_schema(database)
    assert (state.status, state.current) == (SchemaStatus.BEHIND, HEAD)
    require_current_schema(database)
    with database.read() as session:
        found = session.execute(text("SELECT id, note FROM jobs")).all()
    assert found == [(job_id, None)]


def test_a_migration_that_fails_leaves_everything_as_it_was(database: Database, newer: Path) -> None:
    newer.write_text(NEXT_MIGRATION.format(head=HEAD, then='raise RuntimeError("half way")'))
    with pytest.raises(RuntimeError, match="half way"):
        upgrade_schema(database)
    assert schema_state(database).current == HEAD
    assert "note" not in {column["name"] for column in inspect(database.engine).get_columns("jobs")}


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
def test_a_sqlite_file_is_copied_before_it_is_changed(database: Database, newer: Path) -> None:
    job_id = rows.add(database)
    _, backup = upgrade_schema(database)
    assert backup is not None
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(HEAD,)]
        assert copy.execute("SELECT id FROM jobs").fetchall() == [(job_id,)]
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert upgrade_schema(database)[1] is None


def test_an_upgrade_of_a_database_that_is_away_says_so(tmp_path: Path) -> None:
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": "postgresql://a@127.0.0.1:9/b"}))
    with pytest.raises(DatabaseUnreachable):
        upgrade_schema(database)
    database.dispose()
