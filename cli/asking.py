"""Asking a person before something is done that cannot be taken back."""

import sys
from collections.abc import Iterable

import click

from cli.output import is_terminal, say
from pixmill.errors import UserError

HINT = "add -y to do it"


def confirm(deed: str, *, hint: str = HINT, details: Iterable[str] = ()) -> None:
    """Do `deed`, such as "remove 3 files"? The person at the terminal reads the details; the default is no.

    Raises UserError where nobody can be asked, and Abort when the answer is no.
    """
    _require_person(deed, hint)
    for line in details:
        say(line)
    click.confirm(f"{deed}?", default=False, abort=True, err=True)


def confirm_by_name(deed: str, name: str) -> None:
    """As `confirm`, for what is done seldom: the person types the name of what will be gone."""
    _require_person(deed, HINT)
    if click.prompt(f"{deed}: type {name} to do it", err=True) != name:
        raise click.Abort


def _require_person(deed: str, hint: str) -> None:
    if not is_terminal(sys.stdin):
        raise UserError(f"{deed}: nobody can be asked", hint=hint)
