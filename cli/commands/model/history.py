"""`pixmill model history`: which version an alias stood for when."""

from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace
from cli.output import Column, print_list, print_table, say
from cli.params import examples, output_option
from client.wording import utc

if TYPE_CHECKING:
    from db.tables import ModelEvent

COLUMNS = [
    Column(title="NUMBER", align="right", dropped=2),
    Column(title="AT"),
    Column(title="WHO", shrinks=True),
    Column(title="WHAT"),
    Column(title="ALIAS"),
    Column(title="FROM", align="right"),
    Column(title="TO", align="right"),
    Column(title="EVIDENCE", dropped=1),
    Column(title="REASON", shrinks=True, least=16),
]


@click.command("history", epilog=examples("pixmill model history digits", "pixmill model history digits -o json"))
@click.argument("name")
@click.option("--alias", help="Only the moves of this one.")
@output_option("table", "json")
@pass_workspace
def command(workspace: Workspace, name: str, alias: str | None, output_format: str) -> None:
    """Show who moved which alias of a model, froze it or removed a version, when and why, the newest first.

    Nothing of it is ever changed, and its numbers have no gap. `-o json` has what each promotion rests on.
    """
    from client.modelfacts import event_json
    from db.aliases import frozen_text, model_events
    from db.registry import get_model

    with workspace.database.read() as session:
        model = get_model(session, name)
        events = [event for event in model_events(session, model.id) if alias is None or event.alias == alias]
    if output_format == "json":
        print_list("model_history", [event_json(event) for event in events])
        return
    print_table(COLUMNS, [_row(event) for event in events], empty=f"nothing of model {name} was moved yet")
    if model.frozen:
        say(frozen_text(model))


def _row(event: "ModelEvent") -> list[str]:
    return [
        str(event.number),
        utc(event.at),
        event.actor,
        event.action,
        event.alias or "–",
        str(event.from_version or "–"),
        str(event.to_version or "–"),
        "yes" if event.evidence else "–",
        event.reason or "",
    ]
