"""`pixmill model rollback`: make the previous champion champion again."""

from typing import Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.modelacting import Shown, act_options, expect_option, tell_moves, transact_or_rehearse
from cli.params import MODEL_NAME, examples


@click.command(
    "rollback",
    epilog=examples("pixmill model rollback digits", "pixmill model rollback digits --expect 7 --reason 'dark images'"),
)
@click.argument("name", type=MODEL_NAME)
@expect_option
@act_options()
@pass_workspace
def command(workspace: Workspace, /, name: str, *, expect: int | None, reason: str | None, **shown: Any) -> None:
    """Let champion and previous change places, for the next submit; a second rollback takes the first one back.

    Where several people may do so at once, name the champion that is to go: --expect. A frozen model can be rolled
    back.
    """
    from db.aliases import Deed, roll_back

    deed, how = Deed(actor=user_name(), reason=reason), Shown(**shown)
    moves = transact_or_rehearse(workspace, lambda session: roll_back(session, name, deed, expect=expect), how)
    tell_moves(name, moves, how)
