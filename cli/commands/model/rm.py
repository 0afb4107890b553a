"""`pixmill model rm`: remove the files of a version that nobody needs."""

from typing import TYPE_CHECKING, Any

import click

from cli.asking import confirm_by_name
from cli.context import Workspace, pass_workspace, user_name
from cli.modelacting import Shown, act_options, tell_rehearsal
from cli.output import print_item, say
from cli.params import MODEL, examples
from cli.rehearsing import rehearse
from cli.removing import yes_option
from client.wording import files_text

if TYPE_CHECKING:
    from db.versions import Forgotten
    from storage.garbage.weighing import Usage


@click.command(
    "rm", epilog=examples("pixmill model rm digits@3", "pixmill model rm digits@3 --reason 'dark images' --dry-run")
)
@click.argument("name", metavar="NAME@VERSION", type=MODEL)
@yes_option
@act_options()
@pass_workspace
def command(workspace: Workspace, /, name: str, *, yes: bool, reason: str | None, **flags: Any) -> None:
    """Remove the weights of a version, once its name is typed; its lineage and figures stay.

    Refused (rc 4) while an alias stands for it, an unfinished job or a schedule names it, or images or files that were
    made with it are there. The number is not given again.
    """
    from db.aliases import Deed
    from db.versions import forget_version
    from storage.garbage.removal import remove
    from storage.garbage.weighing import Usage
    from storage.removing import path_scraps

    deed, how = Deed(actor=user_name(), reason=reason), Shown(**flags)
    # What forbids it is said before anybody is asked.
    version = rehearse(workspace.database, lambda session: forget_version(session, name, deed))
    text, scraps = version.reference, path_scraps(workspace.layout, version.folder)
    removed = Usage.total(scrap.usage for scrap in scraps)
    if not how.dry_run:
        if not yes:
            confirm_by_name(f"remove model {text}, {files_text(removed.files, removed.size_bytes)}", text)
        # The row first: files without a row are garbage, a row without files is a fault.
        workspace.database.transact(lambda session: forget_version(session, text, deed))
        removed = remove(workspace.layout.root, scraps)
    _tell(version, removed, how)


def _tell(version: "Forgotten", removed: "Usage", how: Shown) -> None:
    if how.output_format == "json":
        facts = {"dry_run": how.dry_run, "files": removed.files, "bytes": removed.size_bytes}
        print_item("model_removal", {"model": version.reference, **facts})
        return
    stay = f"its figures stay: pixmill model versions {version.name} --all"
    say(f"removed {version.reference}: {files_text(removed.files, removed.size_bytes)}; {stay}")
    tell_rehearsal(how)
