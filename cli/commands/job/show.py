"""`pixmill job show`: one job in full."""

import click

from cli.context import Workspace, pass_workspace
from cli.params import examples, job_argument, output_option


@click.command(
    "show",
    epilog=examples("pixmill job show 12", "pixmill job show 12 --spec > job.yaml && pixmill submit -f job.yaml"),
)
@job_argument
@click.option("--spec", "wants_spec", is_flag=True, help="Print a spec file that repeats the job.")
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, job_id: int, wants_spec: bool, output_format: str) -> None:
    """Show a job: what was asked, its tasks, its attempts, what happened when, and what it made."""
    from cli.jobdetails import print_details
    from cli.jobtables import SHOWN_ROWS
    from cli.output import print_item
    from client.documents import job_document, yaml_text
    from client.jobdetails import detail_json, read_details

    with workspace.database.read() as session:
        details = read_details(
            session, workspace.settings, job_id, most=None if output_format == "json" else SHOWN_ROWS
        )
    if wants_spec:
        document = job_document(details.line.job)
        if output_format == "json":
            print_item("job_spec", document)
        else:
            click.echo(yaml_text(document), nl=False)
    elif output_format == "json":
        print_item("job", detail_json(details))
    else:
        print_details(details)
