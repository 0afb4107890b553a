"""Screens that are drawn again and again, until somebody has seen enough."""

import io
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TextIO, TypeVar

import click

from cli.errors import INTERRUPTED
from cli.formatting import cut
from cli.output import can_redraw, say
from cli.params import Parsed
from client.moments import stamp
from pixmill.errors import DatabaseUnreachable
from pixmill.quantities import parse_seconds

Command = TypeVar("Command", bound=Callable[..., Any])

SECONDS = 2.0
LEAST_SECONDS = 0.2
HEAD_LINES = 2  # of the terminal that are not the screen's: the one above it, and the cursor's
SHAPES = ("table", "wide", "text")  # what a person looks at

HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def parse_interval(text: str) -> float:
    """A time span that is no shorter than a terminal can follow.  Raises ValueError.

    >>> parse_interval("5"), parse_interval("1m")
    (5.0, 60.0)
    """
    seconds = parse_seconds(text)
    if seconds < LEAST_SECONDS:
        raise ValueError(f"{text!r} is too often; the shortest is {LEAST_SECONDS} seconds")
    return seconds


def watchable(function: Command) -> Command:
    """Add the option --watch: the command is run again and again, and what it prints is one screen."""

    @wraps(function)
    def command(*args: Any, watch_seconds: float | None, **flags: Any) -> Any:
        if watch_seconds is None:
            return function(*args, **flags)
        _check_shape()
        return watch(lambda: function(*args, **flags), watch_seconds)

    option = click.option(
        "-w",
        "--watch",
        "watch_seconds",
        is_flag=False,
        flag_value=f"{SECONDS:g}",
        type=Parsed("time span", parse_interval),
        metavar="[SECONDS]",
        help=f"Draw it again and again, every {SECONDS:g} seconds unless given, until Ctrl-C.",
    )
    return option(command)  # type: ignore[return-value]


def _check_shape() -> None:
    ctx = click.get_current_context()
    shape = ctx.params["output_format"]
    if shape not in SHAPES:
        raise click.UsageError(f"--watch draws a screen; it does not go with -o {shape}", ctx)
    if not can_redraw(sys.stdout):
        raise click.UsageError("--watch draws on a terminal, and stdout is none that can; leave it out", ctx)


def watch(draw: Callable[[], object], seconds: float) -> None:
    """Draw until Ctrl-C, which ends nothing but this command.  Raises DatabaseUnreachable of the first screen alone.

    While the database is away the last screen stays, below a line that says so.
    """
    try:
        with _own_screen(sys.stdout) as show:
            screen, trouble = _drawn(draw), ""
            while True:
                show(f"every {seconds:g}s  {stamp(datetime.now(UTC))}{trouble}", screen)
                time.sleep(seconds)
                try:
                    screen, trouble = _drawn(draw), ""
                except DatabaseUnreachable as error:
                    trouble = f"  looking again: {error.message}"
    except KeyboardInterrupt:
        say(f"detached; to come back: pixmill {shlex.join(sys.argv[1:])}")
        click.get_current_context().exit(INTERRUPTED)


class _Canvas(io.StringIO):
    """Takes what a command prints, which is to print as on the terminal itself."""

    def isatty(self) -> bool:
        """A table fits the terminal, and may have colours."""
        return True


def _drawn(draw: Callable[[], object]) -> list[str]:
    """What the command prints, data and talk; its exit code is of no matter."""
    canvas = _Canvas()
    with redirect_stdout(canvas), redirect_stderr(canvas), suppress(click.exceptions.Exit):
        draw()
    return canvas.getvalue().splitlines()


@contextmanager
def _own_screen(terminal: TextIO) -> Iterator[Callable[[str, list[str]], None]]:
    """Draws a line above other lines, over what was drawn before: nothing is cleared first, so nothing flickers."""

    def show(head: str, lines: list[str]) -> None:
        columns, rows = shutil.get_terminal_size()
        fitted = [_fitted(line, columns) for line in _at_most([head, *lines], rows - 1)]
        terminal.write(HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in fitted) + CLEAR_BELOW)
        terminal.flush()

    # What stands on the terminal moves up, out of the way, and can be looked at again.
    terminal.write("\n" * (shutil.get_terminal_size().lines - 1) + HIDE_CURSOR)
    try:
        yield show
    finally:
        terminal.write(SHOW_CURSOR)
        terminal.flush()


def _at_most(lines: list[str], rows: int) -> list[str]:
    if len(lines) <= rows:
        return lines
    kept = max(0, rows - 1)
    return [*lines[:kept], f"… {len(lines) - kept} more lines"]


def _fitted(line: str, columns: int) -> str:
    """A line of a table fits, and may hold colours; any other is cut."""
    return line if "\x1b" in line else cut(line, columns)
