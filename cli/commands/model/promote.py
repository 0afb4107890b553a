"""`pixmill model promote`: let `champion` or `challenger` stand for a version."""

import json
from functools import partial
from typing import Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.modelacting import Shown, act_options, expect_option, tell_moves, transact_or_rehearse
from cli.output import say_next
from cli.params import MODEL, examples
from pixmill.aliases import CHAMPION, PROMOTED
from pixmill.errors import UserError


@click.command(
    "promote",
    epilog=examples(
        "pixmill model promote digits@7 --reason 'KID 0.021, was 0.034'",
        "pixmill model promote digits@7 --expect 4 --evidence comparison.json --reason 'night of the 21st'",
        "pixmill model promote digits@8 --alias challenger --reason 'to be compared'",
    ),
)
@click.argument("name", metavar="NAME@VERSION", type=MODEL)
@click.option("--alias", type=click.Choice(PROMOTED), default=CHAMPION, show_default=True, help="As what.")
@expect_option
@click.option(
    "--evidence",
    metavar="FILE",
    help="JSON that it rests on, such as `model compare -o json` prints; kept in the history. - is stdin.",
)
@act_options(needs_reason=True)
@pass_workspace
def command(
    workspace: Workspace,
    /,
    name: str,
    *,
    alias: str,
    expect: int | None,
    evidence: str | None,
    reason: str,
    **shown: Any,
) -> None:
    """Make a version champion; the champion before it becomes previous, in one transaction.

    Takes effect with the next submit: a job keeps the version that it was submitted with. Refused (rc 4) for a frozen
    model, or when the alias is not what --expect says.
    """
    from db.aliases import Deed, promote

    deed = Deed(actor=user_name(), reason=reason, evidence=None if evidence is None else _evidence(evidence))
    how = Shown(**shown)
    act = partial(promote, text=name, alias=alias, deed=deed, expect=expect)
    version, moves = transact_or_rehearse(workspace, act, how)
    model = version.partition("@")[0]
    tell_moves(model, moves, how, f"{version} is {alias} already")
    if moves and alias == CHAMPION and how.output_format == "text" and not how.dry_run:
        say_next(
            f"use it:     pixmill submit generate --model {model}@champion …",
            f"take back:  pixmill model rollback {model}",
        )


def _evidence(source: str) -> dict[str, Any]:
    """What a file says.  Raises UserError for one that a database could not keep."""
    from client.documents import read_documents

    documents = read_documents(source)
    if len(documents) > 1:
        raise UserError(f"{source} holds {len(documents)} documents; a promotion rests on one", hint="join them")
    (document,) = documents
    try:
        text = json.dumps(document, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise UserError(f"{source} cannot be kept as JSON: {error}", hint="JSON has no NaN and no dates") from error
    if "\\u0000" in text:
        raise UserError(f"{source} holds the character NUL", hint="remove it")
    return dict(document)
