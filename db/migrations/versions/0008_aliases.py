"""Aliases of models with their history, models that are frozen, and versions that were removed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("models", sa.Column("frozen", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("models", sa.Column("frozen_reason", sa.Text()))
    op.add_column("model_versions", sa.Column("removed_at", TIME))
    op.create_table(
        "model_aliases",
        sa.Column("model_id", ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _of_model("model_aliases"),
        _of_version("model_aliases", "version"),
        sa.PrimaryKeyConstraint("model_id", "name", name=op.f("pk_model_aliases")),
    )
    op.create_table(
        "model_events",
        sa.Column("model_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("alias", sa.String(length=64)),
        sa.Column("from_version", sa.Integer()),
        sa.Column("to_version", sa.Integer()),
        sa.Column("reason", sa.Text()),
        sa.Column("evidence", JSON),
        _of_model("model_events"),
        _of_version("model_events", "from_version"),
        _of_version("model_events", "to_version"),
        sa.PrimaryKeyConstraint("model_id", "number", name=op.f("pk_model_events")),
    )


def _of_model(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f(f"fk_{table}_model_id"))


def _of_version(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["model_id", column],
        ["model_versions.model_id", "model_versions.version"],
        name=op.f(f"fk_{table}_model_id_{column}"),
    )
