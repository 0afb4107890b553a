"""Notifications as table rows."""

from datetime import datetime
from typing import TYPE_CHECKING

from cli.listing import Listing
from cli.output import Column
from client.moments import ago, is_in_utc, stamp
from client.wording import duration
from pixmill.notifications import NotificationState, told

if TYPE_CHECKING:
    from db.tables.told import Notification

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
LISTING = Listing(schema="notification_list", columns=COLUMNS)


def notification_row(row: "Notification", at: datetime) -> list[str]:
    """The cells of COLUMNS."""
    waits = row.state is NotificationState.WAITING
    return [
        str(row.id),
        row.kind,
        row.state.value,
        str(row.tries),
        ago(row.added_at, at),
        _until(row.next_try_at, at) if waits else "–",
        told(row.kind, row.subject, row.facts, row.count),
        row.error or "",
    ]


def _until(moment: datetime, at: datetime) -> str:
    return stamp(moment) if is_in_utc() else duration(max(0.0, (moment - at).total_seconds()))
