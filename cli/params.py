"""Types of options and arguments, and the options that many commands share."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from cli.completing import LiveId, LiveName
from cli.jobids import JobId, Parent
from client.moments import is_in_utc
from pixmill.quantities import parse_count, parse_seconds
from pixmill.times import parse_past, parse_time, write_time

Command = TypeVar("Command", bound=Callable[..., Any])

KINDS = (
    "train", "generate", "animate", "edit", "evaluate", "gate", "compress", "decompress", "restore", "report", "ping"
)  # fmt: skip
FORMATS = ("webdataset", "parquet", "files", "raw")
ENCODERS = ("png", "png-small", "webp", "jpeg")
STATES = ("pending", "held", "queued", "running", "succeeded", "failed", "cancelled")


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


def parse_queue_name(text: str) -> str:
    """The name of a queue: letters, digits, dots, dashes and underscores.  Raises ValueError.

    >>> parse_queue_name("night-2")
    'night-2'
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        raise ValueError(f"{text!r} is no name of a queue; use letters, digits, dots, dashes and underscores")
    return text


NO_LIMIT = "none"


def parse_limit(text: str) -> int | str:
    """A limit of at least 0, or NO_LIMIT.  Raises ValueError.

    >>> parse_limit("4"), parse_limit("none")
    (4, 'none')
    """
    if text == NO_LIMIT:
        return NO_LIMIT
    if not text.isdecimal() or int(text) >= 2**31:
        raise ValueError(f"{text!r} is no limit; write a whole number, or none")
    return int(text)


def parse_moment(text: str) -> datetime:
    """A moment that has passed, by the clocks that the command shows times by.  Raises ValueError."""
    return parse_past(text, datetime.now(UTC), UTC if is_in_utc() else None)


COUNT = Parsed("count", parse_count)


def parse_weight(text: str) -> float:
    """A number above 0.  Raises ValueError.

    >>> parse_weight("0.5")
    0.5
    """
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0.001 <= weight <= 1000:
        raise ValueError(f"{text!r} is no weight; write a number from 0.001 to 1000, such as 2 or 0.5")
    return weight


def parse_class_counts(text: str) -> dict[str, int]:
    """How many images of each class.  Raises ValueError.

    >>> parse_class_counts("cat=500, dog=2k")
    {'cat': 500, 'dog': 2000}
    """
    return {name: parse_count(value) for name, value in _parse_classes(text, "3=500,7=2k").items()}


def parse_class_weights(text: str) -> dict[str, float]:
    """The weight of each class.  Raises ValueError.

    >>> parse_class_weights("cat=2,dog=0.5")
    {'cat': 2.0, 'dog': 0.5}
    """
    return {name: float(value) for name, value in _parse_classes(text, "3=2,7=0.5").items()}


def _parse_classes(text: str, example: str) -> dict[str, str]:
    parts = [part.rpartition("=") for part in text.split(",")]
    found = {name.strip(): value.strip() for name, _equals, value in parts}
    if len(found) < len(parts):
        raise ValueError(f"{text!r} names a class more than once")
    if not all(found) or not all(found.values()):
        raise ValueError(f"{text!r} gives no number for each class; write it like {example}")
    return found


CLASS_COUNTS = Parsed("class counts", parse_class_counts)
CLASS_WEIGHTS = Parsed("class weights", parse_class_weights)
LIMIT = Parsed("limit", parse_limit)
WEIGHT = Parsed("weight", parse_weight)
QUEUE_NAME = Parsed("queue", parse_queue_name)
SPAN = Parsed("time span", parse_seconds)
BEGIN = Parsed("time", parse_begin)
MOMENT = Parsed("time", parse_moment)
PAIR = Parsed("key=value", _parse_pair)
JOB_ID = JobId("job")
PARENT = Parent("job", "array reference")
ARRAY_ID = LiveId("array")
RUN_ID = LiveId("pipeline run")
NOTIFICATION_ID = LiveId("notification")
QUEUE = LiveName("queue")
DEVICE = LiveName("device")
SCHEDULE = LiveName("schedule")
DATASET = LiveName("dataset")
PIPELINE = LiveName("pipeline", "schedule")
MODEL_NAME = LiveName("model")
MODEL = LiveName("model", "aliased", "version")
ALIAS = LiveName("alias")
PRESET = LiveName("preset")
SCHEMA = LiveName("schema")
PRIORITY = click.IntRange(-1000, 1000)


def job_argument(function: Command) -> Command:
    """The argument ID: one job."""
    return click.argument("job_id", metavar="ID", type=JOB_ID)(function)


def jobs_argument(function: Command) -> Command:
    """The arguments ID…: at least one job."""
    return click.argument("job_ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)(function)


def stacked(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """All of these arguments and options as one decorator; the first is the first that help lists."""

    def add(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def period_options(what: str) -> Callable[[Command], Command]:
    """The options --since and --until; `what` has happened in that time, such as "submitted"."""
    options = [
        click.option("--since", type=MOMENT, metavar="TIME", help=f"Only {what} then or later: 2h, today, RFC 3339."),
        click.option("--until", type=MOMENT, metavar="TIME", help=f"Only {what} before that."),
    ]

    return stacked(options)


def filter_options(queue: str = "--queue") -> Callable[[Command], Command]:
    """The options that choose jobs, under the names of `cli.selection.Filter`; `queue` where that name is taken."""
    options = [
        click.option(
            "--state", "states", multiple=True, type=click.Choice(STATES), help="Only jobs in this state; repeatable."
        ),
        click.option(
            "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only jobs of this kind; repeatable."
        ),
        click.option(
            "-l", "--label", "labels", multiple=True, type=PAIR, help="Only jobs with this label; repeatable."
        ),
        click.option(
            queue, "queues", multiple=True, type=QUEUE, metavar="NAME", help="Only jobs of this queue; repeatable."
        ),
        click.option("--user", "users", multiple=True, metavar="NAME", help="Only this user's jobs; repeatable."),
        click.option(
            "--array", "arrays", multiple=True, type=ARRAY_ID, metavar="ID", help="Only its jobs; repeatable."
        ),
        period_options("jobs submitted"),
        click.option("--ended-since", type=MOMENT, metavar="TIME", help="Only jobs that ended then or later."),
    ]

    return stacked(options)


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
