"""`pixmill job why`: what keeps a job from going on."""

import click

from cli.context import Workspace, pass_workspace
from cli.params import examples, job_argument, output_option


@click.command("why", epilog=examples("pixmill job why 12", "pixmill job why 12 -o json"))
@job_argument
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, job_id: int, output_format: str) -> None:
    """Tell why a job waits, all reasons with their numbers; where it runs; or how it ended; and what can be done.

    The first reason is the one that would have to change first. REASON of `pixmill ps` is that one.
    """
    from cli.why import print_explanation
    from client.why import explain

    with workspace.database.read() as session:
        explanation = explain(session, workspace.settings.scheduler.lease_seconds, job_id)
    print_explanation(explanation, as_json=output_format == "json")
