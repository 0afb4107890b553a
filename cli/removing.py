"""What all commands that remove something have in common: who asks to, why, and whether it is done at all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.asking import confirm_by_name
from cli.context import Workspace
from cli.output import say
from cli.params import stacked
from cli.rehearsing import rehearse

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Command = TypeVar("Command", bound=Callable[..., Any])

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What the command line says of it."""

    reason: str | None
    dry_run: bool
    yes: bool


def removal_options(function: Command) -> Command:
    """The options of every removal, under the names of `Removal`."""
    options = [
        click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when."),
        click.option("--dry-run", is_flag=True, help="Tell whether it could be removed; change nothing."),
        yes_option,
    ]
    return stacked(options)(function)


def agreed(workspace: Workspace, removal: Removal, deed: str, name: str, act: "Callable[[Session], object]") -> bool:
    """Whether it is to be done: nothing forbids it, it is no rehearsal, and whoever asked for it has typed the name.

    Raises what `act` raises, UserError where nobody can be asked, and Abort when something else is typed.
    """
    rehearse(workspace.database, act)  # what forbids it is said before anybody is asked
    if removal.dry_run:
        say(f"{deed}: this was a rehearsal, nothing was changed")
        return False
    if not removal.yes:
        confirm_by_name(deed, name)
    return True
