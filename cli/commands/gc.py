"""`pixmill gc`: remove files that no row refers to."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from cli.asking import confirm
from cli.context import Workspace, pass_workspace, user_name
from cli.errors import report
from cli.formatting import count, files_text, plural, size
from cli.output import Column, Row, print_item, print_table, say
from cli.params import SPAN, Command, examples, output_option
from pixmill.errors import Conflict, DatabaseUnreachable, PixmillError

if TYPE_CHECKING:
    from cli.doctor.bucketcollection import AnyCollection
    from cli.doctor.collection import Sight
    from cli.doctor.tally import Line, Tally

COLUMNS = [
    Column(title=""),
    Column(title="REASON"),
    Column(title="FOLDERS", align="right", dropped=1),
    Column(title="FILES", align="right", dropped=2),
    Column(title="SIZE", align="right"),
    Column(title="WHY", shrinks=True, least=32),
]


def grace_option(function: Command) -> Command:
    """The option --grace."""
    return click.option(
        "--grace",
        "grace_seconds",
        type=SPAN,
        default="1h",
        show_default=True,
        help="Leave folders without a row, and temporary files, that were changed within this time.",
    )(function)


@click.group("gc", epilog=examples("pixmill gc plan", "pixmill gc run"))
def command() -> None:
    """Remove files of attempts, and objects in a bucket, that no row in the database refers to."""


@command.command("plan", epilog=examples("pixmill gc plan", "pixmill gc plan -o json"))
@grace_option
@output_option("table", "json")
@pass_workspace
def plan(workspace: Workspace, grace_seconds: float, output_format: str) -> None:
    """Show what `gc run` would remove, what it would keep, and why; nothing is changed.

    Nothing goes that a row needs, that a running task may write, or that lies outside runs/ of the storage root and
    storage.outputs.
    """
    scraps: list[dict[str, Any]] = []
    note = _noting(scraps) if output_format == "json" else None
    tally, unknown = _survey(_collections(workspace, grace_seconds), grace_seconds, note)
    resume_count, resume_bytes = _resume_states(workspace)
    if output_format == "json":
        resume = {"files": resume_count, "bytes": resume_bytes}
        root = workspace.settings.storage_root
        places = {"root": root, "outputs": workspace.settings.storage.outputs}
        print_item("gc_plan", {**places, **tally.to_json(), "resume_states": resume, "items": scraps})
        return
    _print_plan(tally, resume_count, resume_bytes)
    for place in unknown:
        say(f"hint:  {_unknown(workspace, place).message}: pixmill config show --sources")


@command.command("run", epilog=examples("pixmill gc run", "pixmill gc run --grace 1d -y"))
@grace_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def run(ctx: click.Context, grace_seconds: float, yes: bool) -> None:
    """Remove what `gc plan` shows, after a question; workers may go on meanwhile.

    Each folder is judged again right before it is cleared. It may be interrupted, and run again, at any time.
    """
    workspace = ctx.ensure_object(Workspace)
    tally, unknown = _survey(_collections(workspace, grace_seconds), grace_seconds)
    if not any(line.folders for line in tally.goes.values()):
        say("nothing to remove")
        return
    if unknown:
        raise _unknown(workspace, unknown[0])
    if not yes:
        hint = "add -y to remove them; pixmill gc plan shows which"
        confirm(f"remove {_amount(tally)}", hint=hint, details=_reasons(tally))
    if not _clear_all(workspace, _collections(workspace, grace_seconds).values()):
        ctx.exit(1)


def _collections(workspace: Workspace, grace_seconds: float) -> "Mapping[str, AnyCollection]":
    from cli.doctor.bucketcollection import collections_of

    return collections_of(workspace.database, workspace.settings, grace_seconds)


def _survey(
    collections: "Mapping[str, AnyCollection]", grace_seconds: float, note: "Callable[[Sight], None] | None" = None
) -> "tuple[Tally, list[str]]":
    """What is everywhere, and the places of which the database knows nothing."""
    from cli.doctor.tally import Tally

    total, unknown = Tally(grace_seconds), []
    for place, collection in collections.items():
        here = Tally(grace_seconds)
        for sight in collection.walk():
            total.add(sight)
            here.add(sight)
            if note is not None:
                note(sight)
        if here.knows_none:
            unknown.append(place)
    return total, unknown


def _noting(scraps: list[dict[str, Any]]) -> "Callable[[Sight], None]":
    def note(sight: "Sight") -> None:
        for scrap in sight.scraps:
            usage = {"files": scrap.usage.files, "bytes": scrap.usage.size_bytes}
            scraps.append({"path": scrap.path, "reason": scrap.waste.value, **usage})

    return note


def _resume_states(workspace: Workspace) -> tuple[int, int]:
    from db.references import resume_states

    with workspace.database.read() as session:
        return resume_states(session)


def _unknown(workspace: Workspace, place: str) -> Conflict:
    from cli.doctor.tally import strange

    return Conflict(f"database {workspace.database.label} {strange(place)}", hint="pixmill config show --sources")


def _print_plan(tally: "Tally", resume_count: int, resume_bytes: int) -> None:
    rows = [_row("goes", reason, line, tally) for reason, line in tally.goes.items() if line.folders]
    rows += [_row("stays", reason, line, tally) for reason, line in tally.stays.items() if line.folders]
    if resume_count:
        why = "part of published: states from which finished jobs could go on"
        rows.append(["stays", "resume", "–", count(resume_count), size(resume_bytes), why])
    print_table(COLUMNS, rows, empty="runs/ is empty: nothing to remove, nothing to keep")
    if tally.waste.files:
        say(f"{_amount(tally)} would go: pixmill gc run")


def _row(what: str, reason: str, line: "Line", tally: "Tally") -> Row:
    files, size_bytes = line.usage.files, line.usage.size_bytes
    return [what, reason, count(line.folders), count(files), size(size_bytes), tally.why(reason)]


def _amount(tally: "Tally") -> str:
    return files_text(tally.waste.files, tally.waste.size_bytes)


def _reasons(tally: "Tally") -> list[str]:
    return [
        f"  {reason:<12} {size(line.usage.size_bytes):>9}  {tally.why(reason)}"
        for reason, line in tally.goes.items()
        if line.folders
    ]


def _clear_all(workspace: Workspace, collections: "Iterable[AnyCollection]") -> bool:
    """Remove everything that may go, and leave an event; False when something could not be removed."""
    from storage.garbage import Usage

    removed, failures = Usage(), 0
    try:
        for collection, sight in ((one, sight) for one in collections for sight in one.walk()):
            if sight.scraps:
                try:
                    removed += collection.clear(sight)
                except DatabaseUnreachable:
                    raise
                except PixmillError as error:  # one folder of another account must not keep the others
                    failures += 1
                    report(error)
    finally:
        _record(workspace, removed.files, removed.size_bytes, failures)
    return not failures


def _record(workspace: Workspace, files: int, size_bytes: int, failures: int) -> None:
    from db.references import record_collection

    detail = f"removed {plural(files, 'file')}, {size(size_bytes)}"
    if failures:
        detail += f"; {plural(failures, 'folder')} could not be cleared"
    say(detail)
    workspace.database.transact(lambda session: record_collection(session, actor=user_name(), detail=detail))
