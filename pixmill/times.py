"""Times: always aware, always UTC inside; one parser and one way to write them."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from pixmill.quantities import parse_seconds

_DAYS_AGO = {"today": 0, "midnight": 0, "yesterday": 1}


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


def parse_past(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """A moment as people name it, as UTC: `2h` ago, `now`, `today`, `midnight`, `yesterday`, a date, an RFC 3339 time.

    Days begin at midnight by the clocks of `zone`, or else of this host. Raises ValueError.

    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> parse_past("2h", noon).isoformat()
    '2026-11-22T10:00:00+00:00'
    >>> parse_past("yesterday", noon, UTC).isoformat(), parse_past("2026-11-01", noon, UTC).isoformat()
    ('2026-11-21T00:00:00+00:00', '2026-11-01T00:00:00+00:00')
    """
    if text == "now":
        return now
    if text in _DAYS_AGO:
        return _midnight(now.astimezone(zone).date() - timedelta(days=_DAYS_AGO[text]), zone)
    try:
        return now - timedelta(seconds=parse_seconds(text))
    except (ValueError, OverflowError):
        return _written(text, zone)


def _written(text: str, zone: tzinfo | None) -> datetime:
    try:
        return _midnight(date.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        pass
    try:
        return parse_time(text)
    except ValueError as error:
        known = "or like 2h, today, yesterday, 2026-11-21"
        raise ValueError(f"{error}, {known}" if "not a time" in str(error) else str(error)) from None


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    # Without a zone the clocks of this host are meant, by the offset that they have on that day.
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def write_time(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond.

    >>> write_time(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    '2026-11-21T02:00:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
