"""Alembic's entry: runs the migrations on the connection that db.schema hands over."""

from alembic import context

from db.schema import VERSION_TABLE
from db.tables.all import Table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transaction_per_migration=False,
)
context.run_migrations()
