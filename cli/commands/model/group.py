"""`pixmill model`: trained models, which of them is in use, and the presets to train."""

import click

from cli.lazy import LazyCommand, LazyGroup
from cli.params import examples

_HERE = "cli.commands.model"

LOOK = {
    "ls": LazyCommand(f"{_HERE}.ls:command", "list the versions of all models"),
    "versions": LazyCommand(f"{_HERE}.versions:command", "the versions of one model, with what each was made from"),
    "show": LazyCommand(f"{_HERE}.show:command", "one version in full, with all that was measured of it"),
    "compare": LazyCommand(f"{_HERE}.compare:command", "what was measured of two versions, side by side"),
    "history": LazyCommand(f"{_HERE}.history:command", "which version was champion when, who moved it, and why"),
    "card": LazyCommand(f"{_HERE}.card:command", "one version as a document for others"),
    "report": LazyCommand(f"{_HERE}.report:command", "all versions on one HTML page: measures, verdicts, pictures"),
    "presets": LazyCommand(f"{_HERE}.presets:command", "what can be trained"),
}
ACT = {
    "promote": LazyCommand(f"{_HERE}.promote:command", "make a version champion, or challenger"),
    "rollback": LazyCommand(f"{_HERE}.rollback:command", "make the previous champion champion again"),
    "alias": LazyCommand(f"{_HERE}.alias:command", "names of your own for versions: set, rm"),
    "freeze": LazyCommand(f"{_HERE}.freeze:freeze", "let nothing of a model be promoted"),
    "unfreeze": LazyCommand(f"{_HERE}.freeze:unfreeze", "let it be promoted again"),
    "export": LazyCommand(f"{_HERE}.export:command", "copy a version to a folder, checked by its hashes"),
    "rm": LazyCommand(f"{_HERE}.rm:command", "remove the files of a version that nobody needs"),
}


@click.group(
    "model",
    cls=LazyGroup,
    sections=[("Look", LOOK), ("Act", ACT)],
    epilog=examples("pixmill model ls", "pixmill model promote digits@7 --reason 'lower KID'"),
)
def command() -> None:
    """Trained models, which version of each is in use, and the presets to train."""
