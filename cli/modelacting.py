"""Acts on the aliases of models: what all of them have in common on the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.context import Workspace
from cli.output import print_item, say
from cli.params import output_option, stacked
from cli.rehearsing import rehearse

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.aliases import Move

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")

expect_option = click.option(
    "--expect",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Only if the alias stands for this version now, 0 for none; else rc 4.",
)


def act_options(*, needs_reason: bool = False) -> Callable[[Command], Command]:
    """The options of every act."""
    options = [
        click.option("--reason", metavar="TEXT", required=needs_reason, help="Why; `pixmill model history` tells it."),
        click.option("--dry-run", is_flag=True, help="Tell what would become of it; change nothing."),
        output_option("text", "json"),
    ]

    return stacked(options)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Whether it is done at all, and how it is told."""

    dry_run: bool
    output_format: str


def transact_or_rehearse(workspace: Workspace, act: "Callable[[Session], T]", shown: Shown) -> T:
    """What comes of the act, which is taken back if it is a rehearsal."""
    return rehearse(workspace.database, act) if shown.dry_run else workspace.database.transact(act)


def tell_moves(model: str, moves: "Sequence[Move]", shown: Shown, unmoved: str | None = None) -> None:
    """Tell which aliases stand for what from now on; `unmoved` where that may not have changed, and has not."""
    if shown.output_format == "json":
        told = [{"alias": move.alias, "from_version": move.before, "to_version": move.after} for move in moves]
        print_item("model_moves", {"name": model, "dry_run": shown.dry_run, "moves": told})
        return
    for move in moves:
        before, after = (None if number is None else f"{model}@{number}" for number in (move.before, move.after))
        was = f", no longer for {before}" if before else ""
        say(f"{model}@{move.alias} stands for {after}{was}" if after else f"{model}@{move.alias} is gone; was {before}")
    if not moves and unmoved is not None:
        say(unmoved)
    tell_rehearsal(shown)


def tell_rehearsal(shown: Shown) -> None:
    """Say that nothing was changed, if so."""
    if shown.dry_run and shown.output_format == "text":
        say("this was a rehearsal, nothing was changed")
