"""`pixmill gc`: remove files that no row refers to, and versions and training states that a policy lets go."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from cli.asking import confirm
from cli.context import Workspace, pass_workspace, user_name
from cli.errors import report
from cli.lazy import NamedGroup
from cli.output import Column, Row, print_fields, print_item, print_table, print_title, say
from cli.params import SPAN, Command, Parsed, examples, output_option, stacked
from cli.removing import yes_option
from client.wording import count, files_text, plural, size
from pixmill.errors import Conflict, DatabaseUnreachable, PixmillError
from pixmill.retention import EXAMPLE, Policy, parse_policy

if TYPE_CHECKING:
    from cli.doctor.bucketcollection import AnyCollection
    from cli.doctor.collection import Sight
    from cli.doctor.tally import Line, Tally
    from cli.forgetting import Removal
    from cli.quota import Advice
    from cli.retention import Plan
    from storage.garbage.weighing import Usage

COLUMNS = [
    Column(title=""),
    Column(title="REASON"),
    Column(title="FOLDERS", align="right", dropped=1),
    Column(title="FILES", align="right", dropped=2),
    Column(title="SIZE", align="right"),
    Column(title="WHY", shrinks=True, least=32),
]


def what_goes(function: Command) -> Command:
    """The options --grace and --policy."""
    options = [
        click.option(
            "--grace",
            "grace_seconds",
            type=SPAN,
            default="1h",
            show_default=True,
            help="Leave folders without a row, and temporary files, that were changed within this time.",
        ),
        click.option(
            "--policy",
            type=Parsed("policy", parse_policy),
            metavar="RULES",
            help=f"Which versions and checkpoints stay, such as {EXAMPLE}, or none.  [default: the settings]",
        ),
    ]
    return stacked(options)(function)


@click.group("gc", cls=NamedGroup, epilog=examples("pixmill gc plan", "pixmill gc run"))
def command() -> None:
    """Remove files of attempts, and objects in a bucket, that no row in the database refers to.

    With a policy, also versions of models and checkpoints that nothing needs.
    """


@command.command(
    "plan", epilog=examples("pixmill gc plan", f"pixmill gc plan --policy {EXAMPLE}", "pixmill gc plan -o json")
)
@what_goes
@output_option("table", "json")
@pass_workspace
def plan(workspace: Workspace, grace_seconds: float, policy: Policy | None, output_format: str) -> None:
    """Show what `gc run` would remove, what it would keep, and why; nothing is changed.

    Nothing goes that a row needs, that a running task may write, or that lies outside runs/ of the storage root and
    storage.outputs. Rows themselves, of versions and checkpoints, go only by a policy.
    """
    from cli.doctor.tally import LATER

    scraps: list[dict[str, Any]] = []
    note = _noting(scraps) if output_format == "json" else None
    tally, unknown = _survey(_collections(workspace, grace_seconds), grace_seconds, note)
    retention = _retention(workspace, policy)
    advice = _advice(workspace, tally, retention)
    if output_format == "json":
        quota = advice.to_json() if advice else None
        root = workspace.settings.storage_root
        places = {"root": root, "outputs": workspace.settings.storage.outputs}
        more = {"resume_states": _resume_states(workspace), "retention": retention.to_json(), "quota": quota}
        print_item("gc_plan", {**places, **tally.to_json(), **more, "items": scraps})
        return
    _print_plan(tally, None if retention.policy.checkpoints else _resume_states(workspace))
    _print_retention(retention)
    if advice:
        print_title("quota", gap=True)
        print_fields(advice.fields())
    if tally.waste.files or retention.going:
        given = f" --policy {policy}" if policy else ""
        say(f"{_amount(tally, retention)} would go: pixmill gc run{given}")
    for place in unknown:
        say(f"hint:  {_unknown(workspace, place).message}: pixmill config show --sources")
    if tally.stays[LATER].folders and not unknown:
        say("hint:  gc run waits for an operator to say that the database was restored: pixmill db restored")


@command.command("run", epilog=examples("pixmill gc run", "pixmill gc run --grace 1d -y"))
@what_goes
@yes_option
@click.pass_context
def run(ctx: click.Context, grace_seconds: float, policy: Policy | None, yes: bool) -> None:
    """Remove what `gc plan` shows, after a question; workers may go on meanwhile.

    Each folder, version and checkpoint is judged again right before it goes. It may be interrupted, and run again, at
    any time.
    """
    workspace = ctx.ensure_object(Workspace)
    tally, unknown = _survey(_collections(workspace, grace_seconds), grace_seconds)
    retention = _retention(workspace, policy)
    if unknown:
        raise _unknown(workspace, unknown[0])
    _require_acknowledged(workspace, tally)
    if not any(line.folders for line in tally.goes.values()) and not retention.going:
        say("nothing to remove")
        return
    if not yes:
        hint = "add -y to remove them; pixmill gc plan shows which"
        confirm(f"remove {_amount(tally, retention)}", hint=hint, details=_reasons(tally, retention))
    if not _clear_all(workspace, _collections(workspace, grace_seconds).values(), retention):
        ctx.exit(1)


def _require_acknowledged(workspace: Workspace, tally: "Tally") -> None:
    """Raise Conflict where files may be of a later database: what its rows need cannot be known."""
    from cli.doctor.tally import LATER

    later = tally.stays[LATER].folders
    if later:
        raise Conflict(
            f"database {workspace.database.label} has no row of {plural(later, 'attempt')}, as if it had been restored "
            "from a copy; nothing was removed",
            hint="pixmill doctor; then pixmill db restored",
        )


def _retention(workspace: Workspace, policy: Policy | None) -> "Plan":
    """What the policy of the command line, or else that of the settings, lets go."""
    from cli.retention import make_plan

    return make_plan(workspace, workspace.settings.retention.policy if policy is None else policy)


def _advice(workspace: Workspace, tally: "Tally", retention: "Plan") -> "Advice | None":
    """How the storage root stands to its quota; None without one."""
    from cli.quota import SHOWN_OUTPUTS, Advice
    from cli.retention import usage_of_items
    from client.quota import measure
    from db.outputs import largest_outputs

    fill = measure(workspace.settings)
    if fill is None:
        return None
    with workspace.database.read() as session:
        outputs = largest_outputs(session, SHOWN_OUTPUTS)
    freed = (tally.waste + usage_of_items(retention.going)).size_bytes
    return Advice(fill=fill, freed_bytes=freed, plan=retention, outputs=outputs)


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


def _resume_states(workspace: Workspace) -> dict[str, int]:
    from db.references import resume_states

    with workspace.database.read() as session:
        files, size_bytes = resume_states(session)
    return {"files": files, "bytes": size_bytes}


def _unknown(workspace: Workspace, place: str) -> Conflict:
    from cli.doctor.tally import strange

    return Conflict(f"database {workspace.database.label} {strange(place)}", hint="pixmill config show --sources")


def _print_plan(tally: "Tally", resume: Mapping[str, int] | None) -> None:
    rows = [_row("goes", reason, line, tally) for reason, line in tally.goes.items() if line.folders]
    rows += [_row("stays", reason, line, tally) for reason, line in tally.stays.items() if line.folders]
    if resume and resume["files"]:
        why = "part of published: states from which finished jobs could go on"
        rows.append(["stays", "resume", "–", count(resume["files"]), size(resume["bytes"]), why])
    print_table(COLUMNS, rows, empty="runs/ is empty: nothing to remove, nothing to keep")


def _print_retention(retention: "Plan") -> None:
    from cli.retention import COLUMNS, amount

    if retention.items:
        print_title(f"policy {retention.policy}", gap=True)
        rows = [item.row() for item in (*retention.going, *retention.staying)]
        print_table(COLUMNS, rows, empty="")
        say(f"of these {amount(retention.going)} would go, and {amount(retention.staying)} would stay")


def _row(what: str, reason: str, line: "Line", tally: "Tally") -> Row:
    files, size_bytes = line.usage.files, line.usage.size_bytes
    return [what, reason, count(line.folders), count(files), size(size_bytes), tally.why(reason)]


def _amount(tally: "Tally", retention: "Plan") -> str:
    """How much goes in all."""
    from cli.retention import usage_of_items

    usage = tally.waste + usage_of_items(retention.going)
    return files_text(usage.files, usage.size_bytes)


def _reasons(tally: "Tally", retention: "Plan") -> list[str]:
    from cli.retention import amount

    lines = [
        f"  {reason:<12} {size(line.usage.size_bytes):>9}  {tally.why(reason)}"
        for reason, line in tally.goes.items()
        if line.folders
    ]
    named = f"  {amount(retention.going)} that nothing needs, by the policy {retention.policy}"
    return [*lines, *([named] if retention.going else [])]


def _clear_all(workspace: Workspace, collections: "Iterable[AnyCollection]", retention: "Plan") -> bool:
    """Remove everything that may go, and leave an event; False when something could not be removed."""
    from cli.forgetting import Removal
    from storage.garbage.weighing import Usage

    removed, failures, removal = Usage(), 0, Removal(workspace, retention)
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
        removal.run()
    finally:
        _record(workspace, removed, failures, removal)
    return not failures and not removal.failures


def _record(workspace: Workspace, garbage: "Usage", failures: int, removal: "Removal") -> None:
    from cli.retention import amount, usage_of_items
    from db.references import record_collection

    removed = garbage + usage_of_items(removal.removed)
    detail = f"removed {plural(removed.files, 'file')}, {size(removed.size_bytes)}"
    if removal.removed:
        detail += f"; of these {amount(removal.removed)} by the policy {removal.policy}"
    if removal.spared:
        detail += f"; {amount(removal.spared)} left alone: needed, or gone, by now"
    if failures + removal.failures:
        detail += f"; {plural(failures + removal.failures, 'folder')} could not be cleared"
    say(detail)
    workspace.database.transact(lambda session: record_collection(session, actor=user_name(), detail=detail))
