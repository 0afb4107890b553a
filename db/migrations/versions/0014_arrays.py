"""Arrays of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "arrays",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("max_running", sa.Integer()),
        sa.Column("key", sa.String(length=200)),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("submitted_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrays")),
        sa.UniqueConstraint("key", name=op.f("uq_arrays_key")),
    )
    op.add_column("jobs", sa.Column("array_id", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("array_index", sa.Integer(), nullable=True))
    op.create_index("ix_jobs_array_id_array_index", "jobs", ["array_id", "array_index"], unique=True)
    op.add_column("tasks", sa.Column("limited_by", sa.BigInteger(), nullable=True))
    op.drop_index("ix_tasks_waiting", table_name="tasks")
    waiting = ["state", "blocked", "queue", "user_name", "limited_by", "rank", "id"]
    op.create_index("ix_tasks_waiting", "tasks", waiting, unique=False)
