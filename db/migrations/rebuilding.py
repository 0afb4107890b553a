"""SQLite changes a constraint by copying the table: the same statement with another constraint."""

import re

import sqlalchemy as sa
from alembic import op

_STORED = sa.text("SELECT sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL AND type = :type")
_COUNT_ON = sa.text("INSERT INTO sqlite_sequence (name, seq) SELECT :new, seq FROM sqlite_sequence WHERE name = :old")


def rebuild_table(name: str, pattern: str, replacement: str) -> None:
    """Replace what the pattern finds, once, in the statement that made the table; rows, indexes and ids are kept."""
    connection = op.get_bind()
    (table,) = connection.scalars(_STORED, {"table": name, "type": "table"}).all()
    indexes = connection.scalars(_STORED, {"table": name, "type": "index"}).all()
    new = f"{name}_new"
    table, changed = re.subn(pattern, replacement, table)
    table, renamed = re.subn(rf"^CREATE TABLE \"?{name}\"?", f"CREATE TABLE {new}", table)
    assert (changed, renamed) == (1, 1), table
    op.execute(sa.text(table.replace(":", r"\:")))
    op.execute(f"INSERT INTO {new} SELECT * FROM {name}")  # noqa: S608  a name of our own
    # An id is never given twice: the new table goes on counting where the old one stands.
    connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :new"), {"new": new})
    connection.execute(_COUNT_ON, {"new": new, "old": name})
    op.drop_table(name)
    op.rename_table(new, name)
    for index in indexes:
        op.execute(sa.text(index.replace(":", r"\:")))


def set_roles(roles: tuple[str, ...]) -> None:
    """Let tasks have these roles and no others."""
    if op.get_bind().dialect.name == "sqlite":
        listed = ", ".join(f"'{role}'" for role in roles)
        rebuild_table("tasks", r"role IN \([^)]*\)", f"role IN ({listed})")
    else:
        op.drop_constraint(op.f("ck_tasks_role"), "tasks", type_="check")
        op.create_check_constraint(op.f("ck_tasks_role"), "tasks", sa.column("role").in_(roles))
