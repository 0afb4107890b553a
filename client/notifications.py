"""Notifications: what is wrong with them, how many there are, and one as JSON."""

from typing import TYPE_CHECKING, Any

from client.wording import plural
from pixmill.notifications import NotificationState, origin_of, told

if TYPE_CHECKING:
    from db.notifications import Tally
    from db.tables.told import Notification
    from pixmill.settings import Settings

LS_HINT = "pixmill notify ls; try the way there: pixmill notify test"


def trouble(numbers: "Tally", *, is_wanted: bool) -> str | None:
    """What somebody should look at; `is_wanted` says whether the settings here name a webhook."""
    words = []
    if numbers.failed_lately:
        words.append(f"{plural(numbers.failed_lately, 'notification')} given up within a day")
    if numbers.tried:
        words.append(f"{plural(numbers.tried, 'notification')} tried in vain so far")
    if numbers.overdue and is_wanted:
        words.append(f"{plural(numbers.overdue, 'notification')} due, and no scheduler has tried to send")
    return "; ".join(words) or None


def overview(numbers: "Tally", settings: "Settings") -> str:
    """Where they go, and how many there are."""
    assert settings.notify.url is not None
    to = origin_of(settings.notify.url.get_secret_value())
    return f"to {to}; {numbers.sent:,} sent, {numbers.waiting:,} waiting, {numbers.failed:,} given up"


def notification_json(row: "Notification") -> dict[str, Any]:
    """A notification as JSON."""
    names = ("id", "subject", "count", "tries", "status", "error", "added_at", "ended_at")
    return {
        **{name: getattr(row, name) for name in names},
        "event": row.kind,
        "webhook_id": row.token,
        "state": row.state.value,
        "next_try_at": row.next_try_at if row.state is NotificationState.WAITING else None,
        "text": told(row.kind, row.subject, row.facts, row.count),
        "data": row.facts,
    }
