"""What draining a device and draining a worker have in common."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.output import say
from client.fleet import Member

Command = TypeVar("Command", bound=Callable[..., Any])


def drain_options(function: Command) -> Command:
    """Why, and what becomes of what runs there."""
    reason = click.option("--reason", required=True, metavar="TEXT", help="Why; lists and REASON tell it.")
    now = click.option("--now", is_flag=True, help="What runs there stops at its next checkpoint, and waits again.")
    return reason(now(function))


def say_drained(what: str, member: Member, *, changed: bool, now: bool) -> None:
    """Say what was drained, and what becomes of the job that runs there."""
    say(f"{what} is drained" if changed else f"{what} was drained already")
    if member.job_id is None:
        return
    fate = "stops at its next checkpoint, and waits again" if now else "goes on to its end; --now has it stopped"
    say(f"job {member.job_id}, which runs there, {fate}")
