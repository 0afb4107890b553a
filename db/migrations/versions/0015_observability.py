"""Counts that only grow, tails of logs for those who do not see the files, and the trace that a job belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "totals",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.String(length=400), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_totals")),
    )
    op.create_table(
        "log_pieces",
        sa.Column("task_id", ID, nullable=False),
        sa.Column("lease_epoch", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_log_pieces_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "lease_epoch", "start", name=op.f("pk_log_pieces")),
    )
    op.create_index("ix_log_pieces_written_at", "log_pieces", ["written_at"], unique=False)
    # Few tasks have such a time, and of these nearly all have begun: what does not yet may is counted at a glance.
    op.create_index(
        "ix_tasks_available_at",
        "tasks",
        ["available_at"],
        unique=False,
        sqlite_where=sa.text("available_at IS NOT NULL"),
        postgresql_where=sa.text("available_at IS NOT NULL"),
    )
    op.add_column("jobs", sa.Column("trace_parent", sa.String(length=55), nullable=True))
