"""`pixmill notify`: what operators are told by webhook."""

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.lazy import NamedGroup
from cli.listing import Shape, Telling, listing_options, print_listing
from cli.notifications import LISTING
from cli.output import print_item, say
from cli.params import NOTIFICATION_ID, examples, output_option, period_options
from pixmill.errors import ConfigError, PixmillError

if TYPE_CHECKING:
    from db.tables.told import Notification
    from pixmill.sections import NotifySettings
    from scheduler.webhook import Answer

STATES = ("waiting", "sent", "failed", "skipped")
TEST = "test"  # the type of what `notify test` sends


@click.group("notify", cls=NamedGroup, epilog=examples("pixmill notify test", "pixmill notify ls --state failed"))
def command() -> None:
    """Notifications: what operators are told by webhook, as the settings of [notify] say."""


@command.command("ls", epilog=examples("pixmill notify ls", "pixmill notify ls --state failed -o ids"))
@click.option("--state", type=click.Choice(STATES), help="Only those; failed: given up.")
@click.option("-n", "count", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@period_options("those added")
@listing_options(LISTING)
@pass_workspace
def ls(
    workspace: Workspace,
    state: str | None,
    count: int,
    *,
    since: datetime | None,
    until: datetime | None,
    shape: Shape,
) -> None:
    """List notifications, the newest first: what was sent, waits, was given up or skipped, and why."""
    from cli.notifications import notification_row
    from client.notifications import notification_json
    from db.notifications import list_notifications
    from db.periods import Period
    from db.workers import database_time
    from pixmill.notifications import NotificationState

    with workspace.database.read() as session:
        chosen = NotificationState(state) if state else None
        added = Period(since=since, until=until)
        rows, at = list_notifications(session, state=chosen, limit=count, added=added), database_time(session)
    telling: Telling[Notification] = Telling(
        to_json=notification_json, row=lambda row: notification_row(row, at), ident=lambda row: row.id
    )
    print_listing(LISTING, shape, rows, telling, empty="nothing that anybody is told of")


@command.command("test", epilog=examples("pixmill notify test", "pixmill notify test -o json"))
@output_option("text", "json")
@click.pass_context
def test(ctx: click.Context, output_format: str) -> None:
    """Send one of type `test` to the webhook now, and tell what it answers; rc 1 unless that is 200 to 299.

    It goes the way of all others, with the settings of this host, but is tried once and leaves no row.
    """
    settings = ctx.ensure_object(Workspace).settings.notify
    if settings.url is None:
        raise ConfigError("notify.url is not set: nobody is told", hint='in pixmill.toml: [notify] url = "https://…"')
    started = time.monotonic()
    token, answer = _send_test(settings)
    seconds = time.monotonic() - started
    if output_format == "json":
        facts = {"delivered": answer.is_delivered, "status": answer.status, "error": answer.error}
        print_item("notification_test", {**facts, "webhook_id": token, "seconds": round(seconds, 3)})
        ctx.exit(0 if answer.is_delivered else 1)
    to = _origin(settings)
    if answer.error is not None:
        raise PixmillError(f"{to}: {answer.error}", hint="pixmill config show --sources")
    say(f"{to} answered {answer.status} within {seconds:.2f} s, to webhook-id {token}")


def _send_test(settings: "NotifySettings") -> "tuple[str, Answer]":
    from scheduler.webhook import make_message, post, read_key

    assert settings.url is not None
    key = read_key(settings.secret_file)
    who, at = user_name(), datetime.now(UTC)
    message = make_message(uuid.uuid4().hex, TEST, f"asked for by {who}", {"user": who}, at=at)
    url, is_private = settings.url.get_secret_value(), settings.allow_private
    return message.token, post(url, message, key, settings.timeout_seconds, allow_private=is_private)


def _origin(settings: "NotifySettings") -> str:
    from pixmill.notifications import origin_of

    assert settings.url is not None
    return origin_of(settings.url.get_secret_value())


@command.command(
    "retry",
    epilog=examples("pixmill notify retry 7", "pixmill notify retry $(pixmill notify ls --state failed -o ids)"),
)
@click.argument("ids", metavar="ID…", type=NOTIFICATION_ID, nargs=-1, required=True)
@pass_workspace
def retry(workspace: Workspace, ids: tuple[int, ...]) -> None:
    """Let notifications that were given up, skipped or wait be sent now; all of these, or none.

    They are tried as often as new ones. A receiver that has got one after all knows it by its webhook-id.
    """
    from db.notifications import retry_notification

    actor = user_name()
    rows = workspace.database.transact(
        lambda session: [retry_notification(session, row_id, actor=actor) for row_id in dict.fromkeys(ids)]
    )
    for row in rows:
        say(f"notification {row.id} ({row.kind}) is sent again within seconds, by a scheduler")
    if workspace.settings.notify.url is None:
        say("the settings here name no webhook; look whether those of the scheduler do")
