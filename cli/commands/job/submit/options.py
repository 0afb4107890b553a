"""Options that several kinds of jobs have, or all."""

import click

from cli.joboptions import QUEUEING
from cli.params import BEGIN, MODEL, PAIR, PARENT, output_option, stacked

# The options of every kind of job.
common_options = stacked(
    [
        click.option(
            "-f",
            "--file",
            "sources",
            multiple=True,
            metavar="FILE",
            help="YAML, JSON or TOML file, - is stdin; repeatable.",
        ),
        click.option("--name", help="Name of the job; of a train job also that of its model."),
        *QUEUEING,
        click.option(
            "--array", metavar="RANGE", help="A job for each index: 0-15, 1,3,5-9:2; 0-15%4 at most four at once."
        ),
        click.option(
            "--sweep",
            "sweeps",
            multiple=True,
            type=PAIR,
            metavar="KEY=VALUES",
            help="A job for each value: learning_rate=1e-4,2e-4 or seed=0..4; repeatable: for each combination.",
        ),
        click.option("--array-limit", type=click.IntRange(min=1), metavar="N", help="So many of these at once."),
        click.option(
            "--after", multiple=True, type=PARENT, metavar="ID", help="Start when this job, or array:ID, has ended."
        ),
        click.option(
            "--after-policy", type=click.Choice(["ok", "any"]), help="ok: only if it succeeded.  [default: ok]"
        ),
        click.option("--begin", type=BEGIN, metavar="TIME", help="Not before; RFC 3339, or +2h from now."),
        click.option("--key", help="Idempotency key: the same key is the same job."),
        click.option("--wait", is_flag=True, help="Wait for its end; the exit code tells how it ended."),
        click.option("--dry-run", is_flag=True, help="Check and print the spec; add nothing."),
        click.option("-q", "--quiet", is_flag=True, help="Print the job's id and nothing else."),
        output_option("text", "json"),
    ]
)

model_option = click.option(
    "--model", type=MODEL, help="NAME, NAME@VERSION, or job:ID of a train job, which may still run."
)
part_option = click.option(
    "--part",
    type=click.Choice(["held-out", "all"]),
    help="Which of its images.  [default: held-out; of a folder or archive that is named, all]",
)
precision_option = click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "auto"]), help="Numbers to compute with."
)
bad_image_option = click.option(
    "--on-bad-image", type=click.Choice(["fail", "skip"]), help="What an unreadable image means."
)
