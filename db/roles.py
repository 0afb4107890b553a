"""What the application role may do: the role that schedulers, workers and commands use, apart from the schema's owner.

The owner migrates; the application role reads and writes rows, and can neither change nor drop what they lie in.
"""

from sqlalchemy import Connection, text

from db.tables.all import Table
from pixmill.errors import ConfigError, PermissionDenied

ROWS = "SELECT, INSERT, UPDATE, DELETE"
_OWNS = text(
    "SELECT bool_and(pg_has_role(tableowner, 'USAGE')) FROM pg_tables "
    "WHERE schemaname = current_schema() AND tablename = ANY(:names)"
)


def grant_rows(connection: Connection, role: str, version_table: str) -> None:
    """Let `role` work on the rows of all tables, and read the schema's revision.  PostgreSQL only.

    Raises ConfigError for a role that the server does not know, PermissionDenied where the tables are another's: the
    server itself would say so in a warning alone.
    """
    if connection.scalar(text("SELECT current_user")) == role:
        return  # who owns the tables needs no leave
    if not connection.scalar(_OWNS, {"names": _names()}):
        raise PermissionDenied(
            "the tables belong to another role than the one in database.url, which so cannot share them",
            hint="pixmill db upgrade, with the owner's database.url",
        )
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is None:
        raise ConfigError(
            f"database.app_role is {role!r}, and the server knows no such role",
            hint=f"CREATE ROLE {role} LOGIN PASSWORD '…'; as a superuser, then: pixmill db upgrade",
        )
    for statement in grants(connection, role, version_table):
        connection.execute(text(statement))


def grants(connection: Connection, role: str, version_table: str) -> list[str]:
    """The statements that give these rights, and take all others on the same tables."""
    quote = connection.dialect.identifier_preparer.quote
    schema, who = quote(str(connection.scalar(text("SELECT current_schema()")))), quote(role)
    tables = [f"{schema}.{quote(name)}" for name in _names()]
    version = f"{schema}.{quote(version_table)}"
    sequences = [f"{schema}.{quote(name)}" for name in _sequences(connection)]
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {who}",
        f"REVOKE ALL ON {', '.join([*tables, version])} FROM {who}",
        f"GRANT {ROWS} ON {', '.join(tables)} TO {who}",
        f"GRANT SELECT ON {version} TO {who}",
        f"GRANT USAGE ON SEQUENCE {', '.join(sequences)} TO {who}",
    ]


def _names() -> list[str]:
    return [table.name for table in Table.metadata.sorted_tables]


def _sequences(connection: Connection) -> list[str]:
    """Those that number the rows of our tables."""
    owned = text(
        "SELECT s.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i') "
        "JOIN pg_class t ON t.oid = d.refobjid WHERE s.relkind = 'S' AND t.relname = ANY(:names) "
        "AND s.relnamespace = current_schema()::regnamespace ORDER BY s.relname"
    )
    return list(connection.scalars(owned, {"names": _names()}))
