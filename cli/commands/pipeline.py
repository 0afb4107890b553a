"""`pixmill pipeline`: steps that follow one another, such as those of a night."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.lazy import NamedGroup
from cli.listing import Shape, Telling, listing_options, print_listing
from cli.output import print_ids, print_item, say, say_next
from cli.params import PAIR, PIPELINE, RUN_ID, SPAN, examples, output_option, period_options
from cli.pipelines import LISTING
from cli.poking import poke_scheduler
from cli.watching import watchable
from pixmill.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from db.pipelines import RunView
    from pixmill.pipelines import PipelineSpec

run_argument = click.argument("run_id", metavar="RUN", type=RUN_ID)
set_option = click.option("--set", "params", multiple=True, type=PAIR, help="Parameter of the pipeline; repeatable.")
wait_option = click.option("--wait", is_flag=True, help="Stay until the run has ended; the exit code says how.")
reason_option = click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")


@click.group(
    "pipeline",
    cls=NamedGroup,
    epilog=examples("pixmill pipeline run -f night.yaml --set images=100k", "pixmill pipeline show 3"),
)
def command() -> None:
    """Pipelines: train, judge, promote, generate; each step begins when those before it are over."""


@command.command(
    "run",
    epilog=examples(
        "pixmill pipeline run -f night.yaml",
        "pixmill pipeline run night --set images=100k --wait",
        "pixmill pipeline ls",
    ),
)
@click.argument("name", required=False, type=PIPELINE)
@click.option("-f", "--file", "source", metavar="FILE", help="The pipeline: YAML, TOML or JSON; - is stdin.")
@set_option
@wait_option
@click.option("-q", "--quiet", is_flag=True, help="Print the run's id and nothing else.")
@pass_workspace
def run(
    workspace: Workspace,
    name: str | None,
    source: str | None,
    params: "Sequence[tuple[str, str]]",
    *,
    wait: bool,
    quiet: bool,
) -> None:
    """Begin a run of a pipeline: of a file, or by NAME of the one that ran last or is scheduled.

    Everything that can be checked is checked now, and nothing is added when a step could not be run. Exit code of
    --wait: 0 succeeded, or skipped since there was nothing to do; 100 failed, 103 cancelled.
    """
    from cli.pipelinefiles import naming
    from client.pipelines import begin

    spec, where, values = _chosen(workspace, name, source, params)
    with naming(where):
        run_id = begin(workspace, spec, values, user=user_name())
    poke_scheduler(workspace)
    if quiet:
        print_ids([run_id])
    else:
        say(f"pipeline {spec.name}: began run {run_id}")
        if not wait:
            say_next(f"look at it:  pixmill pipeline show {run_id}", f"wait:        pixmill pipeline wait {run_id}")
    if wait:
        _wait(workspace, run_id, None)


def _chosen(
    workspace: Workspace, name: str | None, source: str | None, params: "Sequence[tuple[str, str]]"
) -> "tuple[PipelineSpec, str, Mapping[str, object]]":
    """The pipeline, what it is called in errors, and the parameters of the run.  Raises UserError or NotFound."""
    from cli.pipelinefiles import naming, read_params, read_pipeline
    from db.pipelines import known_document
    from pixmill.pipelines import given_params, parse_pipeline

    if (name is None) == (source is None):
        raise UserError("name one pipeline, or give its file", hint="pixmill pipeline run -f FILE")
    if source is not None:
        spec, where = read_pipeline(source), source
    else:
        wanted = str(name)
        spec = parse_pipeline(workspace.database.consult(lambda session: known_document(session, wanted)))
        where = f"pipeline {name}"
    with naming(where):
        return spec, where, given_params(spec, read_params(spec, params))


@command.command(
    "check", epilog=examples("pixmill pipeline check -f night.yaml", "pixmill pipeline check -f - < n.yaml")
)
@click.option("-f", "--file", "source", required=True, metavar="FILE", help="The pipeline; - is stdin.")
@set_option
@output_option("table", "json")
@pass_workspace
def check(workspace: Workspace, source: str, params: "Sequence[tuple[str, str]]", output_format: str) -> None:
    """Tell whether a pipeline could be run now, and in which order; adds nothing."""
    from cli.pipelinefiles import naming
    from cli.pipelines import print_plan
    from db.workers import database_time
    from scheduler.pipelinechecks import check_pipeline
    from scheduler.pipelinevalues import facts_of

    spec, where, values = _chosen(workspace, None, source, params)
    with naming(where), workspace.database.read() as session:
        facts, outputs = facts_of(database_time(session)), workspace.settings.storage.outputs
        check_pipeline(session, spec, values, facts, user=user_name(), outputs=outputs)
    if output_format == "json":
        print_item("pipeline", spec.document())
        return
    print_plan(spec)
    say(f"pipeline {spec.name} can be run; nothing was added")


@command.command("ls", epilog=examples("pixmill pipeline ls", "pixmill pipeline ls --name night -n 50 -o json"))
@click.option("--name", type=PIPELINE, help="Only runs of this pipeline.")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs.")
@period_options("runs begun")
@watchable
@listing_options(LISTING)
@pass_workspace
def ls(
    workspace: Workspace,
    name: str | None,
    count: int,
    *,
    since: "datetime | None",
    until: "datetime | None",
    shape: Shape,
) -> None:
    """List runs, the oldest first: how they stand, and why they ended so."""
    from client.pipelines import run_json, run_row
    from db.periods import Period
    from db.pipelines import view_runs
    from db.workers import database_time

    with workspace.database.read() as session:
        begun = Period(since=since, until=until)
        views, at = view_runs(session, count, name, begun)[::-1], database_time(session)
    telling: Telling[RunView] = Telling(
        to_json=run_json, row=lambda view: run_row(view, at), ident=lambda view: view.run.id
    )
    print_listing(LISTING, shape, views, telling, empty="no pipeline has run yet")


@command.command("show", epilog=examples("pixmill pipeline show 3", "pixmill pipeline show 3 --spec > night.yaml"))
@run_argument
@click.option("--spec", "as_spec", is_flag=True, help="Print the pipeline as a file that `pipeline run -f` takes.")
@output_option("text", "json")
@pass_workspace
def show(workspace: Workspace, run_id: int, output_format: str, *, as_spec: bool) -> None:
    """Show one run: its steps as a tree, with their jobs, what they have left, and why they ended so."""
    from cli.pipelines import print_run
    from client.documents import yaml_text
    from client.pipelines import run_json
    from db.pipelines import view_run
    from db.workers import database_time
    from pixmill.pipelines import parse_pipeline

    with workspace.database.read() as session:
        view, at = view_run(session, run_id), database_time(session)
    if as_spec:
        click.echo(yaml_text(parse_pipeline(view.run.document).document()), nl=False)
    elif output_format == "json":
        print_item("pipeline_run", run_json(view))
    else:
        print_run(view, at)


@command.command("report", epilog=examples("pixmill pipeline report 3", "pixmill pipeline report 3 --out night.html"))
@run_argument
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: pixmill-run-RUN.html]"
)
@pass_workspace
def report(workspace: Workspace, run_id: int, out: Path | None) -> None:
    """Write the page of a run, in whatever state it is: one HTML file that says what happened and why.

    Prints the file's path. A step of kind `report` writes the same page when all other steps are over.
    """
    from client.jobreport.building import write_run_report

    target = out or Path(f"pixmill-run-{run_id}.html")
    click.echo(str(write_run_report(workspace.database, workspace.settings, run_id, target)))


@command.command("cancel", epilog=examples("pixmill pipeline cancel 3 --reason 'wrong data'"))
@run_argument
@reason_option
@pass_workspace
def cancel(workspace: Workspace, run_id: int, reason: str | None) -> None:
    """Begin nothing more of a run, and cancel the jobs that have begun."""
    from pixmill.states import PipelineState
    from scheduler.pipelineacts import cancel_run

    actor = user_name()
    state = workspace.database.transact(lambda session: cancel_run(session, run_id, actor=actor, why=reason))
    poke_scheduler(workspace)
    is_over = state is PipelineState.CANCELLED
    say(f"pipeline run {run_id} " + ("is cancelled" if is_over else "ends when its jobs have heard of it"))


@command.command("retry", epilog=examples("pixmill pipeline retry 3", "pixmill pipeline retry 3 --wait"))
@run_argument
@reason_option
@wait_option
@pass_workspace
def retry(workspace: Workspace, run_id: int, reason: str | None, *, wait: bool) -> None:
    """Go on with a run from what failed or was cancelled; what has succeeded is kept.

    Jobs that failed are tried again under their IDs, and go on from their last checkpoint.
    """
    from scheduler.pipelineacts import retry_run

    actor = user_name()
    steps = workspace.database.transact(lambda session: retry_run(session, run_id, actor=actor, why=reason))
    poke_scheduler(workspace)
    say(f"pipeline run {run_id} goes on with {', '.join(steps)}")
    if wait:
        _wait(workspace, run_id, None)


@command.command("wait", epilog=examples("pixmill pipeline wait 3 --timeout 8h"))
@run_argument
@click.option("--timeout", type=SPAN, metavar="TIME", help="Give up after this: 90, 10m, 2h.")
@pass_workspace
def wait(workspace: Workspace, run_id: int, timeout: float | None) -> None:
    """Wait until a run has ended, and tell of each step; Ctrl-C leaves it alone.

    Exit code: 0 succeeded or skipped, 100 failed, 103 cancelled, 101 not finished in time.
    """
    _wait(workspace, run_id, timeout)


def _wait(workspace: Workspace, run_id: int, timeout: float | None) -> None:
    from cli.pipelinewaiting import wait_for_run

    wait_for_run(workspace, run_id, timeout_seconds=timeout)
