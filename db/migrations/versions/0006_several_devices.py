"""Tasks that run on several devices at once, and workers that own so many."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("devices", sa.Integer(), server_default="1", nullable=False))
    op.add_column("devices", sa.Column("width", sa.Integer(), server_default="1", nullable=False))
