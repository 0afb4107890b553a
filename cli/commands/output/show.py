"""`pixmill output show`: what one job has made."""

import click

from cli.context import Workspace, pass_workspace
from cli.output import print_fields, print_item, print_title, say_next
from cli.outputs import next_commands, shown_facts
from cli.params import JOB_ID, examples, output_option
from client.outputs import find_output, output_facts


@click.command("show", epilog=examples("pixmill output show 14", "pixmill output show 14 -o json"))
@click.argument("job_id", metavar="ID", type=JOB_ID)
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, job_id: int, output_format: str) -> None:
    """Show what one job has made: where it lies, how much it is, what was measured, what may be done with it."""
    output = find_output(workspace, job_id)
    if output_format == "json":
        print_item("output", {"job_id": job_id, "name": output.name, **output_facts(output)})
        return
    print_title(f"output {job_id}  {output.name}")
    print_fields(shown_facts(output))
    say_next(*next_commands(output))
