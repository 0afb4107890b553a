"""Moments in words: by the clocks of this host, or in UTC where whoever shows them has chosen that."""

from contextvars import ContextVar
from datetime import UTC, datetime

from client.wording import age

_IN_UTC: ContextVar[bool] = ContextVar("in_utc", default=False)


def choose_utc(wanted: bool) -> None:
    """Show moments in UTC, also where tables tell how long ago they were; or else by the clocks of this host."""
    _IN_UTC.set(wanted)


def is_in_utc() -> bool:
    """Whether moments are shown, and words such as `today` meant, in UTC."""
    return _IN_UTC.get()


def stamp(moment: datetime | None) -> str:
    """A moment to the second, by the clocks of this host and with their offset, or in UTC if that was chosen.

    >>> stamp(None)
    '–'
    """
    if moment is None:
        return "–"
    if _IN_UTC.get():
        return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return moment.astimezone().isoformat(" ", "seconds").replace("+00:00", "Z")


def ago(moment: datetime | None, at: datetime) -> str:
    """The cell of a moment: how long before `at` it was, or itself if UTC was chosen."""
    return stamp(moment) if _IN_UTC.get() else age(moment, at)
