"""Texts as a terminal takes them: one line, nothing that it would obey, and no wider than there is room."""

import unicodedata

# Besides control characters: marks that reverse the direction of text, so that a name reads as another.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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


def meter(share: float, width: int = 8) -> str:
    """A small bar; full only when nothing is missing, and empty only where there is nothing.

    >>> meter(0.5), meter(0.999, width=4), meter(0.001, width=4), meter(7, width=4)
    ('████░░░░', '███░', '█░░░', '████')
    """
    filled = int(width * min(1.0, max(0.0, share)))
    filled = max(filled, 1) if share > 0 else 0
    return "█" * filled + "░" * (width - filled)
