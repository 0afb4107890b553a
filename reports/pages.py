"""What all pages share: templates, filters, text without surprises, and files that are whole."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from jinja2 import Environment, PackageLoader, StrictUndefined

from pixmill import __version__
from reports import bars, numbers
from reports.images import LeftOut

MAX_ROWS = 500  # of a table

Row = TypeVar("Row")

# Control characters are no part of HTML, and the bidirectional overrides can make a text read as another.
_UNPRINTABLE = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"
)


def fill(template: str, context: Mapping[str, object]) -> str:
    """Fill a template: every text escaped, nothing in it that is no part of HTML."""
    page = _environment().get_template(template).render({"version": __version__, **context})
    return printable_html(page)


def printable_html(page: str) -> str:
    """The page without letters that are no part of HTML, or that turn the direction of a text."""
    return page.translate(_UNPRINTABLE).encode("utf-8", "backslashreplace").decode()


def write_page(page: str, path: Path) -> Path:
    """Write the page in one step, so that no reader meets half of it; give the path back.  Raises OSError."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(page.encode())
            file.flush()
            os.fsync(file.fileno())
        return temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=numbers.number_text,
        count=numbers.count_text,
        percent=numbers.percent_text,
        size=numbers.size_text,
        duration=numbers.duration_text,
        utc=numbers.utc_text,
        utc_iso=numbers.utc_iso,
        cell=numbers.cell_text,
    )
    environment.globals.update(strip=bars.metric_strip, strip_mark=bars.strip_mark, first=_first, max_rows=MAX_ROWS)
    environment.tests["left_out"] = lambda picture: isinstance(picture, LeftOut)
    return environment


def _first(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[:MAX_ROWS]
