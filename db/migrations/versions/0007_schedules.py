"""Schedules, and what became of each of their times."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A migration keeps its own idea of the types: db.types may change later, this file never does.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=False),
        sa.Column("zone", sa.String(length=100), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("overlap", _one_of("overlap", "skip", "queue", "cancel-previous"), nullable=False),
        sa.Column("catchup", _one_of("catchup", "none", "latest", "all"), nullable=False),
        sa.Column("deadline_seconds", sa.Float(), nullable=False),
        sa.Column("jitter_seconds", sa.Float(), nullable=False),
        sa.Column("blackouts", JSON, nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("next_for", TIME, nullable=True),
        sa.Column("next_run_at", TIME, nullable=True),
        sa.Column("last_run_id", sa.BigInteger(), nullable=True),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
    )
    op.create_index("ix_schedules_next_run_at", "schedules", ["next_run_at"], unique=False)
    op.create_table(
        "schedule_runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("schedule_id", ID, nullable=False),
        sa.Column("scheduled_for", TIME, nullable=False),
        sa.Column("by_hand", sa.String(length=200), nullable=True),
        sa.Column("outcome", _one_of("runoutcome", "submitted", "skipped", "refused"), nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("decided_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_runs_schedule_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_schedule_runs_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_runs")),
        sa.UniqueConstraint("schedule_id", "scheduled_for", name=op.f("uq_schedule_runs_schedule_id_scheduled_for")),
    )
    op.create_index("ix_schedule_runs_schedule_id_job_id", "schedule_runs", ["schedule_id", "job_id"], unique=False)
