"""`pixmill output rebuild`: rows of shards from what lies on the disk."""

import click

from cli.context import Workspace, user_name
from cli.output import print_item, say
from cli.params import JOB_ID, examples, output_option
from client.wording import plural


@click.command("rebuild", epilog=examples("pixmill output rebuild 13", "pixmill output rebuild 13 -o json"))
@click.argument("job_id", metavar="ID", type=JOB_ID)
@output_option("text", "json")
@click.pass_context
def command(ctx: click.Context, job_id: int, output_format: str) -> None:
    """Give shards their rows back that lie complete on the disk: after a database was restored from an older copy.

    Every shard is read and compared with its marker, and the marker with the job. What has a row stays as it is, and
    nothing is made again: `pixmill job retry` does that. rc 1 if shards of a finished job are nowhere.
    """
    from cli.rebuilding import rebuild

    found = rebuild(ctx.ensure_object(Workspace), job_id, actor=user_name())
    if output_format == "json":
        facts = {"restored": found.restored, "refused": list(found.refused), "missing": found.missing}
        print_item("output_rebuild", {"job_id": job_id, **facts})
    else:
        for problem in found.refused:
            click.echo(problem)
        missing = f"; nowhere to be found: {', '.join(map(str, found.missing))}" if found.missing else ""
        say(f"output {job_id}: {plural(len(found.restored), 'row')} restored, {found.present} there already{missing}")
    if found.missing:
        ctx.exit(1)
