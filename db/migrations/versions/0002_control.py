"""Operators' control: limits, shares, retries, drains, and who is still listening."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A migration keeps its own idea of the types: db.types may change later, this file never does.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)

ROLES = ("train", "generate", "assemble", "evaluate", "ping")
STATES = ("pending", "held", "queued", "running", "succeeded", "failed", "cancelled")
# Columns of 0001 that a rebuilt table takes over as they are.
KEPT = (
    "id, job_id, number, role, params, state, queue, priority, device_kind, available_at, dispatch_seq, dispatched_at, "
    "lease_epoch, heartbeat_count, worker_id, failures, lost_leases, preemptions, progress, progress_done, result, "
    "reason, message, started_at, finished_at"
)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.add_column("queues", sa.Column("weight", sa.Float(), server_default="1", nullable=False))
    op.add_column("queues", sa.Column("max_running", sa.Integer(), nullable=True))
    op.add_column("queues", sa.Column("max_running_per_user", sa.Integer(), nullable=True))
    op.add_column("devices", sa.Column("drained", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("devices", sa.Column("drain_reason", sa.Text(), nullable=True))
    op.add_column("workers", sa.Column("drain_reason", sa.Text(), nullable=True))
    op.add_column("workers", sa.Column("canary_sent", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("workers", sa.Column("canary_sent_at", TIME, nullable=True))
    op.add_column("workers", sa.Column("canary_heard", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "accounts",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("device_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("charged_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["queue"], ["queues.name"], name=op.f("fk_accounts_queue")),
        sa.PrimaryKeyConstraint("queue", "user_name", name=op.f("pk_accounts")),
    )
    op.execute(
        "INSERT INTO accounts (queue, user_name, charged_at) "
        "SELECT queue, user_name, max(submitted_at) FROM jobs GROUP BY queue, user_name"
    )
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_tasks()
    else:
        _alter_tasks()
    op.create_index("ix_tasks_waiting", "tasks", ["state", "queue", "user_name", "rank", "id"], unique=False)


def _alter_tasks() -> None:
    op.drop_index("ix_tasks_state_priority_id", table_name="tasks")
    op.drop_constraint(op.f("ck_tasks_role"), "tasks", type_="check")
    op.create_check_constraint(op.f("ck_tasks_role"), "tasks", sa.column("role").in_(ROLES))
    op.add_column("tasks", sa.Column("user_name", sa.String(length=200), server_default="", nullable=False))
    op.add_column("tasks", sa.Column("rank", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("retries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("retry_seconds", sa.Float(), server_default="30", nullable=False))
    op.add_column("tasks", sa.Column("time_limit_seconds", sa.Float(), nullable=True))
    op.add_column("tasks", sa.Column("stop_to", sa.String(length=32), nullable=True))
    op.add_column("tasks", sa.Column("excused_failures", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("excused_lost_leases", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("checkpoint_floor", sa.BigInteger(), server_default="0", nullable=False))
    # One point of priority is worth a minute of waiting.
    op.execute(
        "UPDATE tasks SET user_name = jobs.user_name, "
        "rank = (extract(epoch FROM jobs.submitted_at) * 1000)::bigint - tasks.priority * 60000 "
        "FROM jobs WHERE jobs.id = tasks.job_id"
    )
    op.alter_column("tasks", "user_name", server_default=None)
    op.alter_column("tasks", "rank", server_default=None)


def _rebuild_tasks() -> None:
    """SQLite changes a constraint by copying the table."""
    op.create_table(
        "tasks_new",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("device_kind", sa.String(length=32), nullable=True),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_seconds", sa.Float(), server_default="30", nullable=False),
        sa.Column("time_limit_seconds", sa.Float(), nullable=True),
        sa.Column("available_at", TIME, nullable=True),
        sa.Column("dispatch_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("dispatched_at", TIME, nullable=True),
        sa.Column("lease_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("heartbeat_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker_id", ID, nullable=True),
        sa.Column("stop_to", sa.String(length=32), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost_leases", sa.Integer(), server_default="0", nullable=False),
        sa.Column("preemptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excused_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excused_lost_leases", sa.Integer(), server_default="0", nullable=False),
        sa.Column("checkpoint_floor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress", JSON, nullable=False),
        sa.Column("progress_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_tasks_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["queue"], ["queues.name"], name=op.f("fk_tasks_queue")),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name=op.f("fk_tasks_worker_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_tasks_job_id_number")),
        sa.CheckConstraint(sa.column("role").in_(ROLES), name=op.f("ck_tasks_role")),
        sa.CheckConstraint(sa.column("state").in_(STATES), name=op.f("ck_tasks_state")),
        sa.CheckConstraint(sa.column("device_kind").in_(("cpu", "cuda")), name=op.f("ck_tasks_devicekind")),
        sqlite_autoincrement=True,
    )
    # One point of priority is worth a minute of waiting.
    op.execute(
        f"INSERT INTO tasks_new ({KEPT}, user_name, rank) "  # noqa: S608
        f"SELECT {', '.join(f'tasks.{name}' for name in KEPT.split(', '))}, jobs.user_name, "
        "CAST(strftime('%s', jobs.submitted_at) AS INTEGER) * 1000 - tasks.priority * 60000 "
        "FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
    )
    # An id is never given twice: the new table goes on counting where the old one stands.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'tasks_new'")
    counted = "SELECT 'tasks_new', seq FROM sqlite_sequence WHERE name = 'tasks'"
    op.execute(f"INSERT INTO sqlite_sequence (name, seq) {counted}")
    op.drop_table("tasks")
    op.rename_table("tasks_new", "tasks")
