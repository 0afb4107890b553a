"""Types of options and arguments, and the options that many commands share."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from pixmill.times import parse_time, write_time

Command = TypeVar("Command", bound=Callable[..., Any])

_COUNT = re.compile(r"(\d[\d_]*)(?:\.(\d+))?([kKMGT]?)")
_FACTORS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_count(text: str) -> int:
    """A whole number as people write it.  Raises ValueError.

    >>> parse_count("10k"), parse_count("1.5M"), parse_count("1_000_000")
    (10000, 1500000, 1000000)
    """
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a whole number; write it like 5000, 10k, 1M or 1_000_000")
    whole, fraction, unit = match[1].replace("_", ""), match[2] or "", match[3]
    scaled = int(whole + fraction) * _FACTORS[unit]
    if scaled % 10 ** len(fraction):
        raise ValueError(f"{text!r} is not a whole number")
    return scaled // int(10 ** len(fraction))


def parse_seconds(text: str) -> float:
    """A time span in seconds.  Raises ValueError.

    >>> parse_seconds("90"), parse_seconds("2m"), parse_seconds("1.5h")
    (90.0, 120.0, 5400.0)
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span; write it like 90, 30s, 10m, 2h or 1d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_begin(text: str) -> str:
    """An RFC 3339 time, or `+` and a span from now, as RFC 3339 in UTC.  Raises ValueError.

    >>> parse_begin("2026-11-21T02:00:00+01:00")
    '2026-11-21T01:00:00.000Z'
    """
    if text.startswith("+"):
        return write_time(datetime.now(UTC) + timedelta(seconds=parse_seconds(text[1:])))
    return write_time(parse_time(text))


class Parsed(click.ParamType[Any]):
    """A value read by a function that raises ValueError with the words to show."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text; a default passes as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _parse_pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return key, value


COUNT = Parsed("count", parse_count)
SPAN = Parsed("time span", parse_seconds)
BEGIN = Parsed("time", parse_begin)
PAIR = Parsed("key=value", _parse_pair)
JOB_ID = click.IntRange(min=1)


def job_argument(function: Command) -> Command:
    """The argument ID: one job."""
    return click.argument("job_id", metavar="ID", type=JOB_ID)(function)


def jobs_argument(function: Command) -> Command:
    """The arguments ID…: at least one job."""
    return click.argument("job_ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)(function)


def output_option(*formats: str) -> Callable[[Command], Command]:
    """The option -o; the first format is the default."""
    return click.option(
        "-o",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print it.",
    )


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])
