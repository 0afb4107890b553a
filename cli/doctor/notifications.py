"""Notifications that do not arrive, and a secret that is none."""

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, problem, warning
from client.notifications import LS_HINT, overview, trouble
from pixmill.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pixmill.settings import Settings

PART = "notifications"


def examine_notifications(session: "Session", settings: "Settings") -> Iterator[Finding]:
    """Nothing where nobody asks to be told, and nothing went wrong."""
    from db.notifications import tally

    numbers, is_wanted = tally(session), settings.notify.url is not None
    if is_wanted:
        yield ok(PART, overview(numbers, settings))
        yield from _examine_secret(settings)
    if (text := trouble(numbers, is_wanted=is_wanted)) is not None:
        yield warning(PART, text, LS_HINT)


def _examine_secret(settings: "Settings") -> Iterator[Finding]:
    from scheduler.webhook import read_key

    file = settings.notify.secret_file
    try:
        read_key(file)
    except ConfigError as error:
        yield problem(PART, error.message, error.hint)
        return
    if file is not None and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warning(PART, f"{file} holds a secret, and other accounts may read it", f"chmod 600 {file}")
