"""`pixmill model export`: copy a version to a folder."""

from pathlib import Path

import click

from cli.context import Workspace, pass_workspace
from cli.output import print_item, say
from cli.params import MODEL, examples, output_option
from client.wording import files_text
from pixmill.homes import expanded


@click.command("export", epilog=examples("pixmill model export digits@champion --to ~/digits"))
@click.argument("name", metavar="MODEL", type=MODEL)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write; made when it is not there.",
)
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, name: str, target: Path, output_format: str) -> None:
    """Copy weights, description and card of a version, each checked by its hash and read again.

    `sha256sum -c SHA256SUMS` checks the copy anywhere, and `imagemodels.export.load_model` reads it.
    """
    from cli.modelcard import card_json, card_markdown, read_card_of
    from cli.modelexport import export_version
    from cli.output import plain_json

    with workspace.database.read() as session:
        card = read_card_of(session, name)
        markdown, facts = card_markdown(card), plain_json(card_json(card))
    version = card.details.version
    target = expanded(target).absolute()
    written = export_version(version, workspace.layout.resolve(version.folder), target, markdown, facts)
    total = sum(digest.size_bytes for digest in written.values())
    if output_format == "json":
        files = [
            {"name": name, "sha256": digest.sha256, "bytes": digest.size_bytes} for name, digest in written.items()
        ]
        print_item("model_export", {"model": version.reference, "folder": str(target), "files": files})
    else:
        say(f"exported {version.reference} to {target}: {files_text(len(written), total)}, all hashes right")
