"""Runs of pipelines, and their steps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)
RUN_STATES = ("running", "succeeded", "failed", "skipped", "cancelled")
STEP_STATES = ("waiting", "submitted", "succeeded", "failed", "skipped", "cancelled")


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "pipeline_runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("state", _one_of("pipelinestate", *RUN_STATES), nullable=False),
        sa.Column("reason", sa.String(length=64)),
        sa.Column("message", sa.Text()),
        sa.Column("schedule_id", ID),
        sa.Column("scheduled_for", TIME, nullable=False),
        sa.Column("in_turn", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_pipeline_runs_schedule_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_runs")),
        sa.UniqueConstraint("schedule_id", "scheduled_for", name=op.f("uq_pipeline_runs_schedule_id_scheduled_for")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pipeline_runs_state", "pipeline_runs", ["state"], unique=False)
    op.create_table(
        "pipeline_steps",
        sa.Column("id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("after", JSON, nullable=False),
        sa.Column("any_outcome", sa.Boolean(), nullable=False),
        sa.Column("state", _one_of("stepstate", *STEP_STATES), nullable=False),
        sa.Column("job_id", ID),
        sa.Column("values", JSON, nullable=False),
        sa.Column("reason", sa.String(length=64)),
        sa.Column("message", sa.Text()),
        sa.Column("finished_at", TIME),
        sa.ForeignKeyConstraint(
            ["run_id"], ["pipeline_runs.id"], name=op.f("fk_pipeline_steps_run_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_pipeline_steps_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_steps")),
        sa.UniqueConstraint("run_id", "name", name=op.f("uq_pipeline_steps_run_id_name")),
    )
    op.create_index("ix_pipeline_steps_job_id", "pipeline_steps", ["job_id"], unique=False)
