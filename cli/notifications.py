"""Notifications as table rows."""

from datetime import datetime
from typing import TYPE_CHECKING

from cli.output import Column
from client.wording import age, duration
from pixmill.notifications import NotificationState, told

if TYPE_CHECKING:
    from db.tables import Notification

COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="EVENT"),
    Column(title="STATE"),
    Column(title="TRIES", align="right", dropped=1),
    Column(title="AGE", align="right"),
    Column(title="NEXT", align="right", dropped=2),
    Column(title="TEXT", shrinks=True, least=20),
    Column(title="ERROR", shrinks=True, least=12),
]


def notification_row(row: "Notification", at: datetime) -> list[str]:
    """The cells of COLUMNS."""
    waits = row.state is NotificationState.WAITING
    return [
        str(row.id),
        row.kind,
        row.state.value,
        str(row.tries),
        age(row.added_at, at),
        duration(max(0.0, (row.next_try_at - at).total_seconds())) if waits else "–",
        told(row.kind, row.subject, row.facts, row.count),
        row.error or "",
    ]
