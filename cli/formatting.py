"""Ages, durations, sizes and counts as a table cell wants them: short, and never longer than they must be."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
_SPANS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))

# Besides control characters: marks that reverse the direction of text, so that a name reads as another.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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


def printable(text: str) -> str:
    r"""One line without anything that a terminal would obey.

    >>> printable("two\nlines and \x1b[31mred")
    'two lines and �[31mred'
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter in "\n\t\r":
        return " "
    is_hidden = unicodedata.category(letter) in {"Cc", "Cs"} or letter in _DIRECTION_MARKS
    return "�" if is_hidden else letter


def columns_of(text: str) -> int:
    """How many terminal columns the text takes; East Asian letters take two, combining marks none.

    >>> columns_of("abc"), columns_of("数字")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, width: int) -> str:
    """The text, ended with … where it takes more than `width` columns.

    >>> cut("generate", 5), cut("train", 5)
    ('gene…', 'train')
    """
    if columns_of(text) <= width:
        return text
    kept, used = "", 1
    for letter in text:
        used += _columns(letter)
        if used > width:
            break
        kept += letter
    return kept + "…" if width > 0 else ""


def spec_fields(document: Mapping[str, object]) -> dict[str, str]:
    """What a job is asked for, a line each; what is left open has none."""
    return {key: value_text(value) for key, value in document.items() if key != "version" and value not in (None, {})}


def value_text(value: object) -> str:
    """A value of a document as people write it.

    >>> value_text(10_000), value_text(True), value_text({'width': 8}), value_text([1.5, 'a'])
    ('10,000', 'yes', 'width=8', '1.5, a')
    >>> value_text({"kid": {"max": 0.5, "worse_by": 0.01}, "speed": {"min": 9.0}})
    'kid (max=0.5, worse_by=0.01), speed (min=9)'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(_entry(key, inner) for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(value_text(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _entry(key: object, value: object) -> str:
    return f"{key} ({value_text(value)})" if isinstance(value, Mapping) else f"{key}={value_text(value)}"
