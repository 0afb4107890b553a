"""`pixmill model freeze` and `unfreeze`: whether anything of a model may be promoted."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.modelacting import Shown, act_options, tell_rehearsal, transact_or_rehearse
from cli.output import print_item, say
from cli.params import MODEL_NAME, examples

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.aliases import Deed


@click.command("freeze", epilog=examples("pixmill model freeze digits --reason 'delivery on Friday'"))
@click.argument("name", type=MODEL_NAME)
@act_options(needs_reason=True)
@pass_workspace
def freeze(workspace: Workspace, /, name: str, **flags: Any) -> None:
    """Let nothing of a model be promoted, by nobody, until `model unfreeze`; it can still be rolled back."""
    from db import aliases

    _set(workspace, name, flags, aliases.freeze, ("is frozen", "was frozen already"))


@click.command("unfreeze", epilog=examples("pixmill model unfreeze digits"))
@click.argument("name", type=MODEL_NAME)
@act_options()
@pass_workspace
def unfreeze(workspace: Workspace, /, name: str, **flags: Any) -> None:
    """Let versions of a model be promoted again."""
    from db import aliases

    _set(workspace, name, flags, aliases.unfreeze, ("may be promoted again", "was not frozen"))


def _set(
    workspace: Workspace,
    name: str,
    flags: dict[str, Any],
    act: "Callable[[Session, str, Deed], bool]",
    words: tuple[str, str],
) -> None:
    from db.aliases import Deed

    deed, how = Deed(actor=user_name(), reason=flags.pop("reason")), Shown(**flags)
    changed = transact_or_rehearse(workspace, lambda session: act(session, name, deed), how)
    if how.output_format == "json":
        print_item("model_freeze", {"name": name, "dry_run": how.dry_run, "changed": changed})
        return
    say(f"model {name} {words[0] if changed else words[1]}")
    tell_rehearsal(how)
