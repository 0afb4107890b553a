"""`pixmill doctor`: a thorough examination, with a remedy for whatever is wrong."""

import click

from cli.context import Workspace
from cli.output import print_item
from cli.params import examples, output_option


@click.command("doctor", epilog=examples("pixmill doctor", "pixmill doctor --quick", "pixmill doctor --deep -o json"))
@click.option("--quick", is_flag=True, help="Leave out what takes long: files of rows, the walk over runs/, drivers.")
@click.option("--deep", is_flag=True, help="Also read the database and all recorded files as a whole.")
@output_option("table", "json")
@click.pass_context
def command(ctx: click.Context, quick: bool, deep: bool, output_format: str) -> None:
    """Examine settings, servers, clock, workers, devices, drivers, disks, jobs and files; rc 1 if something is wrong.

    One finding a line, with what to do about it. It changes nothing, and leaves out what would have to wait for a
    server that does not answer.
    """
    from cli.doctor.examination import examine
    from cli.doctor.findings import Level
    from cli.doctor.screen import print_findings, say_verdict

    if quick and deep:
        raise click.UsageError("--quick and --deep exclude each other", ctx)
    findings = examine(ctx.ensure_object(Workspace), quick=quick, deep=deep)
    if output_format == "json":
        found = list(findings)
        is_ok = all(finding.state is Level.OK for finding in found)
        print_item("doctor", {"ok": is_ok, "findings": [finding.to_json() for finding in found]})
    else:
        found = print_findings(findings)
        say_verdict(found)
    if any(finding.state is not Level.OK for finding in found):
        ctx.exit(1)
