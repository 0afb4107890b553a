"""Options that every job has, whoever submits it."""

import click

from cli.params import PAIR, QUEUE, SPAN

QUEUEING = (
    click.option("--queue", type=QUEUE, help="Queue.  [default: default]"),
    click.option(
        "--priority",
        type=int,
        help="From -1000 to 1000; a point is worth a minute of waiting.  [default: 0]",
    ),
    click.option("--device", type=click.Choice(["any", "cpu", "cuda"]), help="What may run it."),
    click.option("--hold", is_flag=True, default=None, help="Wait for `pixmill job release`."),
    click.option(
        "--retries",
        type=int,
        metavar="N",
        help="Try again so often after a failure that may pass.  [default: 2]",
    ),
    click.option(
        "--retry-delay",
        "retry_seconds",
        type=SPAN,
        metavar="SPAN",
        help="Before the first retry; doubles with each.  [default: 30s]",
    ),
    click.option(
        "--time-limit",
        "time_limit_seconds",
        type=SPAN,
        metavar="SPAN",
        help="Longest time of one attempt at one task: 90s, 2h.  [default: none]",
    ),
    click.option("-l", "--label", "labels", multiple=True, type=PAIR, help="Label; repeatable."),
)
