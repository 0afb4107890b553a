"""`pixmill schedule`: jobs that are submitted again and again."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.joboptions import QUEUEING
from cli.lazy import NamedGroup
from cli.listing import Shape, Telling, listing_options, print_listing
from cli.output import (
    print_fields,
    print_ids,
    print_item,
    print_table,
    print_title,
    say,
    say_next,
)
from cli.params import PAIR, SCHEDULE, SPAN, examples, output_option, period_options, stacked
from cli.poking import poke_scheduler
from cli.removing import Removal, agreed, removal_options
from cli.schedules import LISTING, NEXT_LISTING, RUN_LISTING
from pixmill.pipelines import is_pipeline
from pixmill.schedules import Catchup, Overlap
from pixmill.times import write_time

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from db.schedules import RunLine, ScheduleLine
    from db.tables.schedules import Schedule
    from scheduler.scheduled import Started
    from scheduler.schedules import Due

SHOWN_RUNS = 5
MOST_TIMES = 1000


@click.group(
    "schedule",
    cls=NamedGroup,
    epilog=examples(
        "pixmill schedule add nightly --cron '0 2 * * *' --zone Europe/Zurich -f retrain.yaml",
        "pixmill schedule next nightly -n 10",
    ),
)
def command() -> None:
    """Schedules: jobs that are submitted again and again, and what became of each time."""


@command.command(
    "add",
    epilog=examples(
        "pixmill schedule add nightly --cron '0 2 * * *' --zone Europe/Zurich -f retrain.yaml",
        "pixmill schedule add hourly --cron '0 * * * *' -f images.yaml --catchup none --overlap cancel-previous",
        "pixmill job show 12 --spec | pixmill schedule add weekly --cron '30 3 * * sun' --blackout 2026-12-24 -f -",
    ),
)
@click.argument("name")
@click.option("--cron", required=True, metavar="EXPR", help="Minute, hour, day, month, weekday: '30 2 * * *'.")
@click.option("--zone", default="UTC", show_default=True, help="Whose clocks are meant, by its IANA name.")
@click.option(
    "-f",
    "--file",
    "source",
    required=True,
    metavar="FILE",
    help="The job, as of `submit -f`, or a pipeline; - is stdin.",
)
@click.option(
    "--overlap",
    type=click.Choice([each.value for each in Overlap]),
    help="While an earlier job has not ended.  [default: skip; queue with --catchup all]",
)
@click.option(
    "--catchup",
    type=click.Choice([each.value for each in Catchup]),
    default=Catchup.LATEST.value,
    show_default=True,
    help="Which missed runs are made up for.",
)
@click.option("--deadline", type=SPAN, metavar="SPAN", help="How late a run may still begin.  [default: 12h]")
@click.option("--jitter", type=SPAN, default=0.0, metavar="SPAN", help="Begin up to so much later.  [default: 0]")
@click.option("--blackout", "blackouts", multiple=True, metavar="WINDOW", help="'Mon-Fri 08:00-18:00', 2026-12-24 …")
@click.option("--name", "job_name", metavar="NAME", help="Of each job; {date} becomes the day of the run.")
@click.option(
    "--set",
    "options",
    multiple=True,
    type=PAIR,
    help="Option of a train job's preset, or parameter of a pipeline; repeatable.",
)
@click.option("--seed", type=int, help="Seed.")
@stacked(QUEUEING)
@pass_workspace
def add(workspace: Workspace, /, name: str, **flags: Any) -> None:
    """Submit a job, or run a pipeline, again and again.

    It is checked now, as by `pixmill submit`, and what it refers to is looked up anew at each run. Jobs are labelled
    schedule=NAME and scheduled_for=TIME.
    """
    from cli.pipelinefiles import naming
    from cli.schedules import read_document
    from db.schedules import get_schedule
    from db.workers import database_time
    from scheduler.cron import parse_cron
    from scheduler.timetable import add_schedule, make_schedule

    overlap, source = flags.pop("overlap"), flags.pop("source")
    new = make_schedule(
        name=name,
        cron=parse_cron(flags.pop("cron"), flags.pop("zone")),
        overlap=Overlap(overlap) if overlap else None,
        catchup=Catchup(flags.pop("catchup")),
        deadline_seconds=flags.pop("deadline"),
        jitter_seconds=flags.pop("jitter"),
        blackouts=flags.pop("blackouts"),
        document=read_document(source, flags),
        user_name=user_name(),
    )

    def act(session: "Session") -> tuple[bool, "Schedule"]:
        is_new = add_schedule(session, new, database_time(session), outputs=workspace.settings.storage.outputs)
        return is_new, get_schedule(session, name)

    with naming(source) if is_pipeline(new.document) else nullcontext():
        is_new, schedule = workspace.database.transact(act)
    _say_added(schedule, is_new=is_new)


def _say_added(schedule: "Schedule", *, is_new: bool) -> None:
    from client.schedules import local_text

    if not is_new:
        say(f"schedule {schedule.name} was there already; nothing was changed")
        return
    say(f"schedule {schedule.name}: its first run is at {local_text(schedule, schedule.next_run_at)}")
    say_next(
        f"look at it:  pixmill schedule next {schedule.name}", f"try it:      pixmill schedule run {schedule.name}"
    )


@command.command("ls", epilog=examples("pixmill schedule ls", "pixmill schedule ls -o json"))
@listing_options(LISTING)
@pass_workspace
def ls(workspace: Workspace, shape: Shape) -> None:
    """List schedules: when they run next, and what became of their last run."""
    from client.schedules import schedule_json, schedule_row
    from db.schedules import schedule_lines
    from db.workers import database_time

    with workspace.database.read() as session:
        lines, at = schedule_lines(session), database_time(session)
    telling: Telling[ScheduleLine] = Telling(
        to_json=schedule_json, row=lambda line: schedule_row(line, at), ident=lambda line: line.schedule.name
    )
    print_listing(LISTING, shape, lines, telling, empty="no schedule yet: pixmill schedule add --help")


@command.command("show", epilog=examples("pixmill schedule show nightly", "pixmill schedule show nightly --spec"))
@click.argument("name", type=SCHEDULE)
@click.option(
    "--spec",
    "as_spec",
    is_flag=True,
    help="Print what it submits as a file that `submit -f`, or `pipeline run -f`, takes.",
)
@output_option("text", "json")
@pass_workspace
def show(workspace: Workspace, name: str, output_format: str, *, as_spec: bool) -> None:
    """Show one schedule in full: its terms, the job or pipeline, the next time and the last runs."""
    from cli.schedules import RUN_COLUMNS, document_fields, file_document
    from client.documents import yaml_text
    from client.schedules import get_line, run_row, schedule_fields, schedule_json
    from db.schedules import run_lines
    from db.workers import database_time
    from scheduler.scheduled import dated
    from scheduler.schedules import cron_of

    with workspace.database.read() as session:
        line, at = get_line(session, name), database_time(session)
        runs = run_lines(session, line.schedule.id, limit=SHOWN_RUNS)
    document = file_document(line.schedule.document)
    if output_format == "json":
        print_item("schedule", schedule_json(line))
    elif as_spec:
        click.echo(yaml_text(dated(document, cron_of(line.schedule).local(at))), nl=False)
    else:
        print_title(f"schedule {name}")
        print_fields(schedule_fields(line.schedule))
        print_title("submits", gap=True)
        print_fields(document_fields(document))
        if runs:
            print_title("last runs", gap=True)
            print_table(RUN_COLUMNS, [run_row(line.schedule, run) for run in runs], empty="")


@command.command("next", epilog=examples("pixmill schedule next", "pixmill schedule next nightly -n 20"))
@click.argument("name", required=False, type=SCHEDULE)
@click.option("-n", "count", type=click.IntRange(1, MOST_TIMES), default=5, show_default=True, help="How many times.")
@listing_options(NEXT_LISTING)
@pass_workspace
def next_(workspace: Workspace, name: str | None, count: int, shape: Shape) -> None:
    """Show the next times of one schedule or of all, by the clocks of the zone, with their offset from UTC.

    In spring a fixed time that does not exist becomes the first one that does; in autumn, of one that comes twice the
    first counts.
    """
    from client.schedules import coming_times, due_json, due_row
    from db.schedules import get_schedule, schedule_lines
    from db.workers import database_time

    with workspace.database.read() as session:
        at = database_time(session)
        schedules = [get_schedule(session, name)] if name else [line.schedule for line in schedule_lines(session)]
    telling: Telling[tuple[Schedule, Due]] = Telling(
        to_json=lambda pair: due_json(*pair),
        row=lambda pair: due_row(*pair, at),
        ident=lambda pair: write_time(pair[1].logical),
    )
    print_listing(NEXT_LISTING, shape, coming_times(schedules, count), telling, empty="nothing is scheduled")


@command.command(
    "run", epilog=examples("pixmill schedule run nightly", "pixmill wait $(pixmill schedule run nightly -q)")
)
@click.argument("name", type=SCHEDULE)
@click.option("-q", "--quiet", is_flag=True, help="Print the id of the job, or of the pipeline's run, alone.")
@pass_workspace
def run(workspace: Workspace, name: str, *, quiet: bool) -> None:
    """Submit its job or pipeline now, outside of the plan; also while it is paused or within a blackout.

    Refused while an earlier one has not ended, unless the schedule's --overlap allows it.
    """
    from db.workers import database_time
    from scheduler.timetable import run_now

    actor, outputs = user_name(), workspace.settings.storage.outputs

    def act(session: "Session") -> "Started":
        return run_now(session, name, database_time(session), actor=actor, outputs=outputs)

    started = workspace.database.transact(act)
    poke_scheduler(workspace)
    job_id, run_id = started.job_id, started.run_id
    if quiet:
        print_ids([each for each in (job_id, run_id) if each is not None])
        return
    if job_id is None:
        say(f"schedule {name}: began pipeline run {run_id}")
        say_next(f"look at it:  pixmill pipeline show {run_id}", f"wait:        pixmill pipeline wait {run_id}")
        return
    say(f"schedule {name}: submitted job {job_id}")
    say_next(f"follow it:  pixmill logs -f {job_id}", f"wait:       pixmill wait {job_id}")


@command.command("pause", epilog=examples("pixmill schedule pause nightly --reason 'new driver'"))
@click.argument("name", type=SCHEDULE)
@click.option("--reason", metavar="TEXT", help="Why; `pixmill schedule ls` and the history tell it.")
@pass_workspace
def pause(workspace: Workspace, name: str, reason: str | None) -> None:
    """Submit nothing more by the plan; times that pass are recorded as skipped, and not made up for."""
    from db.schedules import pause_schedule

    actor = user_name()
    changed = workspace.database.transact(lambda session: pause_schedule(session, name, actor=actor, why=reason))
    say(f"schedule {name} is paused" if changed else f"schedule {name} was paused already")


@command.command("resume", epilog=examples("pixmill schedule resume nightly"))
@click.argument("name", type=SCHEDULE)
@click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")
@pass_workspace
def resume_(workspace: Workspace, name: str, reason: str | None) -> None:
    """Go on by the plan; times that have passed during the pause are not made up for."""
    from scheduler.timetable import resume

    outputs = workspace.settings.storage.outputs
    changed = resume(workspace.database, name, actor=user_name(), why=reason, outputs=outputs)
    say(f"schedule {name} goes on" if changed else f"schedule {name} was not paused")


@command.command(
    "history", epilog=examples("pixmill schedule history nightly", "pixmill schedule history nightly -n 100")
)
@click.argument("name", type=SCHEDULE)
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs.")
@period_options("times")
@listing_options(RUN_LISTING)
@pass_workspace
def history(
    workspace: Workspace,
    name: str,
    count: int,
    *,
    since: "datetime | None",
    until: "datetime | None",
    shape: Shape,
) -> None:
    """Show what became of each time, the latest first: its job, or why there is none."""
    from client.schedules import run_json, run_row
    from db.periods import Period
    from db.schedules import get_schedule, run_lines

    with workspace.database.read() as session:
        schedule = get_schedule(session, name)
        runs = run_lines(session, schedule.id, limit=count, period=Period(since=since, until=until))
    telling: Telling[RunLine] = Telling(
        to_json=lambda line: run_json(schedule, line),
        row=lambda line: run_row(schedule, line),
        ident=lambda line: write_time(line.run.scheduled_for),
    )
    print_listing(RUN_LISTING, shape, runs, telling, empty=f"schedule {name} has not run yet")


@command.command("rm", epilog=examples("pixmill schedule rm nightly", "pixmill schedule rm nightly --reason done -y"))
@click.argument("name", type=SCHEDULE)
@removal_options
@pass_workspace
def rm(workspace: Workspace, /, name: str, **flags: Any) -> None:
    """Forget a schedule and its history, once its name is typed. Jobs that it has submitted stay as they are."""
    from db.schedules import remove_schedule

    removal, actor = Removal(**flags), user_name()

    def act(session: "Session") -> None:
        remove_schedule(session, name, actor=actor, why=removal.reason)

    if agreed(workspace, removal, f"remove schedule {name}", name, act):
        workspace.database.transact(act)
        say(f"schedule {name} is removed; its jobs are where they were")
