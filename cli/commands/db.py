"""`pixmill db`: the database's schema."""

import click

from cli.context import Workspace, pass_workspace
from cli.lazy import NamedGroup
from cli.output import print_fields, print_item, say
from cli.params import examples, output_option
from pixmill.errors import SchemaMismatch


@click.group("db", cls=NamedGroup, epilog=examples("pixmill db status"))
def command() -> None:
    """The database's schema."""


@command.command("status", epilog=examples("pixmill db status", "pixmill db status -o json"))
@output_option("text", "json")
@click.pass_context
def status(ctx: click.Context, output_format: str) -> None:
    """Show whether the database's schema is the one that this pixmill works with; rc 78 if it is not."""
    from db.schema import SchemaStatus, schema_state

    workspace = ctx.ensure_object(Workspace)
    database = workspace.unchecked_database
    state = workspace.ask_first(lambda: schema_state(database))
    fields = {"database": database.label, "revision": state.current, "head": state.head, "status": state.status.value}
    if output_format == "json":
        print_item("schema", fields)
    else:
        print_fields({name: value or "none" for name, value in fields.items()}, indent="")
    if state.status is not SchemaStatus.OK:
        ctx.exit(SchemaMismatch.exit_code)


@command.command("upgrade", epilog=examples("pixmill db upgrade"))
@pass_workspace
def upgrade(workspace: Workspace) -> None:
    """Bring the database to the schema of this pixmill; an embedded database is copied first.

    Any number of hosts may do this at once: one of them does the work. PostgreSQL's tables belong to the role that does
    it; database.app_role names another one that may work on their rows afterwards, and no more.
    """
    from db.schema import SchemaStatus, upgrade_schema

    database = workspace.unchecked_database
    app_role = workspace.settings.database.app_role
    before, backup = upgrade_schema(database, app_role=app_role)
    if app_role is not None and not database.is_sqlite:
        say(f"role {app_role} may read and write rows, and nothing else")
    if before.status is SchemaStatus.OK:
        say(f"database {database.label} is at revision {before.head} already")
        return
    if backup is not None:
        say(f"the database as it was: {backup}")
    say(f"database {database.label}: revision {before.current or 'none'} → {before.head}")
