"""`pixmill model history`: which version an alias stood for when."""

from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column, say
from cli.params import MODEL_NAME, examples, period_options
from client.moments import stamp

if TYPE_CHECKING:
    from datetime import datetime

    from db.tables.models import ModelEvent

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
LISTING = Listing(schema="model_history", columns=COLUMNS)


@click.command("history", epilog=examples("pixmill model history digits", "pixmill model history digits -o json"))
@click.argument("name", type=MODEL_NAME)
@click.option("--alias", help="Only the moves of this one.")
@period_options("what was done")
@listing_options(LISTING)
@pass_workspace
def command(
    workspace: Workspace,
    name: str,
    alias: str | None,
    *,
    since: "datetime | None",
    until: "datetime | None",
    shape: Shape,
) -> None:
    """Show who moved which alias of a model, froze it or removed a version, when and why, the newest first.

    Nothing of it is ever changed, and its numbers have no gap. `-o json` has what each promotion rests on.
    """
    from client.modelfacts import event_json
    from db.aliases import frozen_text, model_events
    from db.periods import Period
    from db.registry import get_model

    with workspace.database.read() as session:
        model = get_model(session, name)
        events = model_events(session, model.id, Period(since=since, until=until))
    events = [event for event in events if alias is None or event.alias == alias]
    telling: Telling[ModelEvent] = Telling(to_json=event_json, row=_row, ident=lambda event: event.number)
    print_listing(LISTING, shape, events, telling, empty=f"nothing of model {name} was moved yet")
    if model.frozen and shape.is_table:
        say(frozen_text(model))


def _row(event: "ModelEvent") -> list[str]:
    return [
        str(event.number),
        stamp(event.at),
        event.actor,
        event.action,
        event.alias or "–",
        str(event.from_version or "–"),
        str(event.to_version or "–"),
        "yes" if event.evidence else "–",
        event.reason or "",
    ]
