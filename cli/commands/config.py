"""`pixmill config`: the settings in force."""

from dataclasses import replace

import click

from cli.context import Workspace, pass_workspace
from cli.lazy import NamedGroup
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column
from cli.params import examples

COLUMNS = [
    Column(title="SETTING"),
    Column(title="VALUE", shrinks=True),
    Column(title="SOURCE", shrinks=True, wide=True),
]
LISTING = Listing(schema="settings", columns=COLUMNS)


@click.group("config", cls=NamedGroup, epilog=examples("pixmill config show --sources"))
def command() -> None:
    """Settings, and where they come from."""


@command.command(
    "show", epilog=examples("pixmill config show --sources", "PIXMILL_HOME=/data/pixmill pixmill config show")
)
@click.option("--sources", is_flag=True, help="Also tell which flag, variable or file set each.")
@listing_options(LISTING)
@pass_workspace
def show(workspace: Workspace, sources: bool, shape: Shape) -> None:
    """Show the settings in force.

    Strongest first: flags, PIXMILL_* variables, PIXMILL_*_FILE variables (which name a file that holds the value),
    ./pixmill.toml (or --config), the user's and the system's config.toml, defaults. Secrets are masked.
    """
    telling = Telling[tuple[str, str, str]](
        to_json=lambda row: dict(zip(("key", "value", "source"), row, strict=True)),
        row=list,
        ident=lambda row: row[0],
    )
    if sources and shape.output_format == "table":
        shape = replace(shape, output_format="wide")
    print_listing(LISTING, shape, _rows(workspace), telling, empty="no settings")


def _rows(workspace: Workspace) -> list[tuple[str, str, str]]:
    from pixmill.settings import setting_origins

    settings = workspace.settings
    derived = {
        "home": str(settings.home),
        "database.url": settings.database_url,
        "broker.url": settings.broker_url,
        "storage.root": str(settings.storage_root),
    }
    origins = setting_origins(settings, config=workspace.config, flags=workspace.flags)
    # A value that is not set anywhere follows from the home, and then holds no password.
    return [
        (
            origin.key,
            derived.get(origin.key, "") if origin.source == "default" and not origin.value else origin.value,
            origin.source,
        )
        for origin in origins
    ]
