"""`pixmill config`: the settings in force."""

import click

from cli.context import Workspace, pass_workspace
from cli.output import Column, print_list, print_table
from cli.params import examples, output_option


@click.group("config", epilog=examples("pixmill config show --sources"))
def command() -> None:
    """Settings, and where they come from."""


@command.command(
    "show", epilog=examples("pixmill config show --sources", "PIXMILL_HOME=/data/pixmill pixmill config show")
)
@click.option("--sources", is_flag=True, help="Also tell which flag, variable or file set each.")
@output_option("table", "json")
@pass_workspace
def show(workspace: Workspace, sources: bool, output_format: str) -> None:
    """Show the settings in force.

    Strongest first: flags, PIXMILL_* variables, PIXMILL_*_FILE variables (which name a file that holds the value),
    ./pixmill.toml (or --config), the user's and the system's config.toml, defaults. Secrets are masked.
    """
    rows = _rows(workspace)
    if output_format == "json":
        print_list("settings", [dict(zip(("key", "value", "source"), row, strict=True)) for row in rows])
        return
    columns = [Column(title="SETTING"), Column(title="VALUE", shrinks=True), Column(title="SOURCE", shrinks=True)]
    shown = 3 if sources else 2
    print_table(columns[:shown], [row[:shown] for row in rows], empty="no settings")


def _rows(workspace: Workspace) -> list[tuple[str, str, str]]:
    from pixmill.settings import setting_origins

    settings = workspace.settings
    derived = {
        "home": str(settings.home),
        "database.url": settings.database_url,
        "broker.url": settings.broker_url,
        "storage.root": str(settings.storage_root),
    }
    origins = setting_origins(settings, workspace.flags)
    # A value that is not set anywhere follows from the home, and then holds no password.
    return [
        (
            origin.key,
            derived.get(origin.key, "") if origin.source == "default" and not origin.value else origin.value,
            origin.source,
        )
        for origin in origins
    ]
