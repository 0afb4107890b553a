"""`pixmill model compare`: what was measured of two versions, side by side."""

from pathlib import Path

import click

from cli.context import Workspace, pass_workspace
from cli.output import print_item, print_table, say
from cli.params import MODEL, examples, output_option


@click.command(
    "compare",
    epilog=examples(
        "pixmill model compare digits@champion digits@challenger", "pixmill model compare forest vae --out both.html"
    ),
)
@click.argument("first", metavar="A", type=MODEL)
@click.argument("second", metavar="B", type=MODEL)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write an HTML page, too.")
@output_option("table", "json")
@pass_workspace
def command(workspace: Workspace, first: str, second: str, out: Path | None, output_format: str) -> None:
    """Put what was measured of two models side by side: NAME, NAME@VERSION, NAME@ALIAS or job:ID.

    Generators by their evaluations, codecs by what they compressed, models of sequences and classifiers by the held-out
    data of their training. Of several measurements the newest two count that are of equal data and as many images, by
    the same judge. Numbers are compared where data, feature net and n are equal; the columns between N and BETTER are
    controls.
    """
    from cli.comparing import comparison_report, comparison_table
    from client.comparing import compare_models, comparison_json
    from client.jobreport.building import written
    from reports.comparison import write_comparison
    from storage.paths import Layout

    with workspace.database.read() as session:
        compared = compare_models(session, Layout(workspace.settings.storage_root), first, second)
        if out is not None:
            written(lambda path: write_comparison(comparison_report(compared), path), out)
        if output_format == "json":
            print_item("model_comparison", comparison_json(compared))
            return
        print_table(*comparison_table(compared), empty="nothing was measured")
    for note in compared.comparison.notes:
        say(note)
    if out is not None:
        say(f"page: {out}")
