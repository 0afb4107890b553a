"""`pixmill db`: the database's schema, copies of it, and what follows when one of them is put back."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.asking import confirm
from cli.context import Workspace, pass_workspace, user_name
from cli.lazy import NamedGroup
from cli.output import print_fields, print_item, say
from cli.params import examples, output_option
from cli.poking import poke_scheduler
from cli.removing import yes_option
from pixmill.errors import SchemaMismatch

if TYPE_CHECKING:
    from cli.doctor.later import Later
    from db.timeline import Acknowledged


@click.group("db", cls=NamedGroup, epilog=examples("pixmill db status"))
def command() -> None:
    """The database: its schema, a copy of it, and what follows when a copy was put back."""


@command.command("status", epilog=examples("pixmill db status", "pixmill db status -o json"))
@output_option("text", "json")
@click.pass_context
def status(ctx: click.Context, output_format: str) -> None:
    """Show whether the database's schema is the one that this pixmill works with; rc 78 if it is not."""
    from db.schema import SchemaStatus, schema_state

    workspace = ctx.ensure_object(Workspace)
    database = workspace.unchecked_database
    state = workspace.ask_first(lambda: schema_state(database))
    fields = {"database": database.label, "revision": state.current, "head": state.head, "status": state.status.value}
    if output_format == "json":
        print_item("schema", fields)
    else:
        print_fields({name: value or "none" for name, value in fields.items()}, indent="")
    if state.status is not SchemaStatus.OK:
        ctx.exit(SchemaMismatch.exit_code)


@command.command("upgrade", epilog=examples("pixmill db upgrade"))
@pass_workspace
def upgrade(workspace: Workspace) -> None:
    """Bring the database to the schema of this pixmill; an embedded database is copied first.

    Any number of hosts may do this at once: one of them does the work. PostgreSQL's tables belong to the role that does
    it; database.app_role names another one that may work on their rows afterwards, and no more.
    """
    from db.schema import SchemaStatus, upgrade_schema

    database = workspace.unchecked_database
    app_role = workspace.settings.database.app_role
    before, backup = upgrade_schema(database, app_role=app_role)
    if app_role is not None and not database.is_sqlite:
        say(f"role {app_role} may read and write rows, and nothing else")
    if before.status is SchemaStatus.OK:
        say(f"database {database.label} is at revision {before.head} already")
        return
    if backup is not None:
        say(f"the database as it was: {backup}")
    say(f"database {database.label}: revision {before.current or 'none'} → {before.head}")


@command.command("backup", epilog=examples("pixmill db backup /backup/pixmill-monday.db"))
@click.argument("file", type=click.Path(path_type=Path))
@pass_workspace
def backup(workspace: Workspace, file: Path) -> None:
    """Write a copy of the database, as it is at one moment, to a new file; everything goes on meanwhile.

    Of the embedded database it is one of the same kind, of PostgreSQL an archive for pg_restore. Files of the storage
    root are copied afterwards, by other means: what they hold beyond the copy is found when both are put back.
    """
    from db.copying import back_up

    back_up(workspace.database, file)
    say(f"copied to {file}: database {workspace.database.label}")


@command.command("restored", epilog=examples("pixmill db restored --dry-run", "pixmill db restored"))
@click.option("--dry-run", is_flag=True, help="Tell what is later than the database; change nothing.")
@yes_option
@pass_workspace
def restored(workspace: Workspace, dry_run: bool, yes: bool) -> None:
    """Say that the database was restored from a copy that is older than the files, or than running workers.

    What runs by its rows waits again, whoever works by lost rows publishes nothing any more, no id or epoch of a file
    is given again, and `gc run` may remove what no row knows; it waits for this. `output rebuild` comes first.
    """
    from cli.doctor.bucketcollection import collections_of
    from cli.doctor.later import survey
    from db.timeline import acknowledge

    settings, database = workspace.settings, workspace.database
    later = survey(database, settings.storage_root, collections_of(database, settings, 0.0).values())
    for line in _told(later, workspace):
        say(line)
    if dry_run:
        say("this was a rehearsal, nothing was changed")
        return
    if not yes:
        confirm("take the database for the present one", hint="add -y to do it; --dry-run shows what is later")
    detail = f"no row knew {later.summary}" if later else "no file was later"
    act = partial(acknowledge, later=later.ids, actor=user_name(), detail=detail)
    _say_done(database.transact(act))
    poke_scheduler(workspace)


def _told(later: "Later", workspace: Workspace) -> list[str]:
    """What is later than the database, and what can be done about each."""
    if not later:
        return ["no file is later than the database"]
    lines = [f"no row knows {later.summary}"]
    known = sorted(later.datasets - later.lost)
    lines += [f"  the data set of job {job_id} is whole: pixmill output rebuild {job_id}" for job_id in known]
    root = workspace.settings.storage_root
    for job_id in sorted(later.lost):
        folder = workspace.layout.output_folder(job_id)
        way = f"pixmill dataset add NAME tar:{folder}" if folder.is_dir() else "copy it out of the bucket"
        lines.append(f"  job {job_id} is lost, its data set stays: {way}")
    return [*lines, *(f"  {root / model} has no version, and stays" for model in later.models)]


def _say_done(outcome: "Acknowledged") -> None:
    if outcome.waiting:
        say(f"waiting again: job {', '.join(map(str, outcome.waiting))}")
    if outcome.stepped:
        say(f"tasks whose next attempt is numbered above those on the disk: {outcome.stepped:,}")
    say("the database counts as the present one; pixmill gc plan shows what no row needs")
