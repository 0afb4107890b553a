"""`pixmill submit gate`: judge whether a model may take another one's place."""

from typing import Any

import click

from cli.commands.job.submit.flags import submit
from cli.commands.job.submit.options import bad_image_option, common_options
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, DATASET, MODEL, examples


@click.command(
    "gate",
    epilog=examples(
        "pixmill submit gate --model digits@7 --against digits@champion --wait",
        "pixmill submit gate --model digits --against digits@champion --gates gates.yaml --seeds 5",
        "pixmill submit gate --model digits@1",
    ),
)
@click.option("--model", type=MODEL, help="The challenger: NAME, NAME@VERSION, NAME@ALIAS, or job:ID of a train job.")
@click.option(
    "--against", type=MODEL, metavar="MODEL", help="The champion.  [default: there is none; limits alone decide]"
)
@click.option(
    "--dataset", type=DATASET, help="Real images to measure with.  [default: what the challenger was trained on]"
)
@click.option("--gates", "gates_file", metavar="FILE", help="YAML, JSON or TOML: gates, and primary.")
@click.option("--primary", metavar="MEASURE", help="In which the challenger must be no worse.  [default: kid]")
@click.option("--images", type=COUNT, help="Images of each model and seed.  [default: 2k]")
@click.option("--seeds", type=int, metavar="N", help="Over which intervals are taken; 2 to 20.  [default: 3]")
@click.option("--seed", type=int, help="The first of them.  [default: 0]")
@bad_image_option
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Judge whether a model may take another one's place: PROMOTE, HOLD or REJECT.

    Both are measured by one job, on the same data, with the same seeds. Nothing is promoted by it.
    """
    from client.documents import read_gates

    file = flags.pop("gates_file")
    if file is not None:
        flags |= {key: value for key, value in read_gates(file).items() if flags.get(key) is None}
    submit(workspace, "gate", flags)
