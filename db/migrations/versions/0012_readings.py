"""How busy the devices of a worker are, and how much of their memory is taken."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("utilisation", sa.Float()))
    op.add_column("workers", sa.Column("memory_used_bytes", sa.BigInteger()))
