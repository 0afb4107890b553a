"""Texts as a terminal takes them: one line, nothing that it would obey, and no wider than there is room."""

import unicodedata
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

from client.wording import age

_IN_UTC: ContextVar[bool] = ContextVar("in_utc", default=False)
# Besides control characters: marks that reverse the direction of text, so that a name reads as another.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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
