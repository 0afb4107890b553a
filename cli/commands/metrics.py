"""`pixmill metrics`: how things stand, for a monitoring system."""

import click

from cli.context import Workspace
from cli.params import examples
from pixmill.errors import DatabaseUnreachable


@click.command("metrics", epilog=examples("pixmill metrics", "pixmill metrics > pixmill.prom.new"))
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print metrics in Prometheus' text format, once: what `scheduler run --metrics` serves.

    For the collector of text files of node_exporter, or whatever reads its format. Changes nothing. When the database
    does not answer they say that alone, and the exit code is 69.
    """
    from client.monitoring.exposition import Exposition, text_of
    from db.engine import open_database

    settings = ctx.ensure_object(Workspace).settings
    database = open_database(settings, read_only=True)
    exposition = Exposition(database, settings)
    is_up = any(sample.value for sample in exposition.readings()["database_up"])
    click.echo(text_of(exposition), nl=False)
    if not is_up:
        ctx.exit(DatabaseUnreachable.exit_code)
