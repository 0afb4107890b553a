"""What waits for others is marked, so that a look for work need not read it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("blocked", sa.Boolean(), server_default=sa.false(), nullable=False))
    # Marked too often does no harm: the scheduler looks again.
    op.execute(
        "UPDATE tasks SET blocked = true WHERE state IN ('pending', 'held') AND ("
        "job_id IN (SELECT job_id FROM job_dependencies) OR id IN (SELECT task_id FROM task_dependencies))"
    )
    op.drop_index("ix_tasks_waiting", table_name="tasks")
    op.create_index("ix_tasks_waiting", "tasks", ["state", "blocked", "queue", "user_name", "rank", "id"], unique=False)
