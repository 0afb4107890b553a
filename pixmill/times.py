"""Times: always aware, always UTC inside; one parser and one way to write them."""

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    """An RFC 3339 time with its zone, as UTC.

    Raises ValueError when it cannot be read or has no zone (a time without one means another hour on another host).

    >>> parse_time("2026-11-21T02:00:00+01:00").isoformat()
    '2026-11-21T01:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2026-11-21T02:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; add Z or an offset such as +01:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999") from None


def write_time(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond.

    >>> write_time(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    '2026-11-21T02:00:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
