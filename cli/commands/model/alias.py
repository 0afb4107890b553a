"""`pixmill model alias`: names of an operator's own for versions."""

from functools import partial
from typing import Any

import click

from cli.asking import confirm_by_name
from cli.context import Workspace, pass_workspace, user_name
from cli.lazy import NamedGroup
from cli.modelacting import Shown, act_options, expect_option, tell_moves, transact_or_rehearse
from cli.params import ALIAS, MODEL, MODEL_NAME, examples
from cli.rehearsing import rehearse
from cli.removing import yes_option


@click.group("alias", cls=NamedGroup, epilog=examples("pixmill model alias set digits@3 paper"))
def command() -> None:
    """Names of your own for versions: `--model digits@paper`.

    champion and challenger move by `model promote`, champion and previous by `model rollback`.
    """


@command.command(
    "set", epilog=examples("pixmill model alias set digits@3 paper", "pixmill model alias set digits@champion released")
)
@click.argument("name", metavar="NAME@VERSION", type=MODEL)
@click.argument("alias", type=ALIAS)
@expect_option
@act_options()
@pass_workspace
def set_(workspace: Workspace, /, name: str, alias: str, *, expect: int | None, **flags: Any) -> None:
    """Let ALIAS stand for a version, whatever it stood for before."""
    from db.aliases import Deed, set_alias

    deed, how = Deed(actor=user_name(), reason=flags.pop("reason")), Shown(**flags)
    act = partial(set_alias, text=name, alias=alias, deed=deed, expect=expect)
    version, moves = transact_or_rehearse(workspace, act, how)
    model = version.partition("@")[0]
    tell_moves(model, moves, how, f"{model}@{alias} stands for {version} already")


@command.command("rm", epilog=examples("pixmill model alias rm digits paper"))
@click.argument("name", type=MODEL_NAME)
@click.argument("alias", type=ALIAS)
@yes_option
@act_options()
@pass_workspace
def rm(workspace: Workspace, /, name: str, alias: str, *, yes: bool, reason: str | None, **shown: Any) -> None:
    """Let ALIAS stand for nothing, once it is typed; the version stays.  champion and previous cannot be removed."""
    from db.aliases import Deed, remove_alias

    deed, how = Deed(actor=user_name(), reason=reason), Shown(**shown)
    act = partial(remove_alias, name=name, alias=alias, deed=deed)
    moves = rehearse(workspace.database, act)  # what forbids it is said before anybody is asked
    if not how.dry_run:
        if not yes:
            confirm_by_name(f"remove alias {name}@{alias}", alias)
        moves = workspace.database.transact(act)
    tell_moves(name, moves, how)
