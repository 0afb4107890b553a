"""Ages, durations, sizes and counts in words: short, and never longer than they must be."""

from datetime import datetime

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
_SPANS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def duration(seconds: float) -> str:
    """A time span with its two largest units.

    >>> duration(0.4), duration(59), duration(252), duration(7500), duration(273_600)
    ('0s', '59s', '4m12s', '2h05m', '3d04h')
    """
    whole = max(0, int(seconds))
    for size, unit, small_size, small_unit in _SPANS:
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // small_size:02d}{small_unit}"
    return f"{whole}s"


def age(moment: datetime | None, at: datetime) -> str:
    """How long before `at` the moment was, in its largest unit.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    >>> age(noon - timedelta(minutes=90), noon), age(None, noon)
    ('1h', '–')
    """
    if moment is None:
        return "–"
    return span((at - moment).total_seconds())


def span(seconds: float) -> str:
    """A time span in its largest unit, rounded down.

    >>> span(28.9), span(750), span(7300)
    ('28s', '12m', '2h')
    """
    whole = max(0, int(seconds))
    for size, unit, _small_size, _small_unit in _SPANS:
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def size(size_bytes: float) -> str:
    """A file size in decimal units.

    >>> size(999), size(12_345_678)
    ('999 B', '12.3 MB')
    """
    value = float(size_bytes)
    for unit in _SIZES[:-1]:
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} {_SIZES[-1]}"


def count(number: int) -> str:
    """A whole number, shortened where nothing is lost by it.

    >>> count(950), count(20_000), count(1_250_000), count(12_345)
    ('950', '20k', '1.25M', '12,345')
    """
    for unit_size, unit in _COUNTS:
        hundredths = number * 100 // unit_size
        if number >= unit_size and hundredths * unit_size == number * 100:
            return f"{hundredths / 100:g}{unit}"
    return f"{number:,}"


def percent(done: int, total: int) -> str:
    """Progress in whole percent; 100 % only when nothing is left.

    >>> percent(0, 100), percent(999, 1000), percent(1000, 1000)
    ('0%', '99%', '100%')
    """
    return f"{min(100, 100 * done // total) if total > 0 else 100}%"


def plural(number: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "job"), plural(3, "job")
    ('1 job', '3 jobs')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def files_text(files: int, size_bytes: int) -> str:
    """A number of files with their size.

    >>> files_text(3, 4096)
    '3 files (4.1 kB)'
    """
    return f"{plural(files, 'file')} ({size(size_bytes)})"


def utc(moment: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else "–"
