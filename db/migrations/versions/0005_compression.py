"""Tasks that compress images, and that decompress them."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROLES = ("train", "generate", "assemble", "evaluate", "compress", "decompress", "ping")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_tasks()
    else:
        op.drop_constraint(op.f("ck_tasks_role"), "tasks", type_="check")
        op.create_check_constraint(op.f("ck_tasks_role"), "tasks", sa.column("role").in_(ROLES))


def _rebuild_tasks() -> None:
    """SQLite changes a constraint by copying the table: the same statement with another list of roles."""
    connection = op.get_bind()
    stored = "SELECT sql FROM sqlite_master WHERE tbl_name = 'tasks' AND sql IS NOT NULL AND type = "
    (table,) = connection.scalars(sa.text(f"{stored}'table'")).all()
    indexes = connection.scalars(sa.text(f"{stored}'index'")).all()
    listed = ", ".join(f"'{role}'" for role in ROLES)
    table, changed = re.subn(r"role IN \([^)]*\)", f"role IN ({listed})", table)
    table, renamed = re.subn(r"^CREATE TABLE \"?tasks\"?", "CREATE TABLE tasks_new", table)
    assert (changed, renamed) == (1, 1), table
    op.execute(sa.text(table.replace(":", r"\:")))
    op.execute("INSERT INTO tasks_new SELECT * FROM tasks")
    # An id is never given twice: the new table goes on counting where the old one stands.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'tasks_new'")
    counted = "SELECT 'tasks_new', seq FROM sqlite_sequence WHERE name = 'tasks'"
    op.execute(f"INSERT INTO sqlite_sequence (name, seq) {counted}")
    op.drop_table("tasks")
    op.rename_table("tasks_new", "tasks")
    for index in indexes:
        op.execute(sa.text(index.replace(":", r"\:")))
