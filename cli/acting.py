"""Acts on jobs: on one as it is named, on several after a question; some at a time in one transaction."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.asking import confirm
from cli.context import Workspace, user_name
from cli.errors import report
from cli.output import Column, print_table, say
from cli.params import JOB_ID, filter_options, stacked
from cli.poking import poke_scheduler
from cli.rehearsing import rehearse
from cli.removing import yes_option
from cli.selection import Selection, unknown_queue
from client.acts import Act, Actor, perform_all
from client.wording import plural
from pixmill.errors import Conflict, NotFound, PixmillError, UserError

if TYPE_CHECKING:
    from db.listing import JobHead

Command = TypeVar("Command", bound=Callable[..., Any])

RUN_COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="NAME", shrinks=True),
    Column(title="STATE"),
    Column(title="RESULT", shrinks=True, least=24),
]


def act_options(queue: str = "--queue") -> Callable[[Command], Command]:
    """The arguments and options of every act."""
    options = [
        click.argument("job_ids", metavar="[ID…]", type=JOB_ID, nargs=-1),
        filter_options(queue),
        click.option("--reason", metavar="TEXT", help="Why; `pixmill job show` tells it."),
        click.option("--dry-run", is_flag=True, help="Tell what would become of each job; change nothing."),
        yes_option,
    ]

    return stacked(options)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What all acts have in common on the command line."""

    selection: Selection
    reason: str | None
    dry_run: bool
    yes: bool

    @classmethod
    def from_flags(cls, flags: dict[str, Any]) -> "Request":
        """Take what `act_options` added out of a command's arguments."""
        selection = Selection.from_flags(flags, flags.pop("job_ids"))
        return cls(selection=selection, **{name: flags.pop(name) for name in ("reason", "dry_run", "yes")})

    @property
    def actor(self) -> Actor:
        """Who asks, and why."""
        return Actor(name=user_name(), why=self.reason)


def act_on_jobs(workspace: Workspace, act: Act, request: Request) -> None:
    """Do it to every chosen job, and say what became of each.

    One job that cannot be acted on is that error; of several the others go on, and the exit code is 1.  Raises
    UsageError without a selector, UserError when nobody can be asked.
    """
    selection = request.selection
    selection.require_one(act.verb)
    heads = _chosen(workspace, act, selection)
    if not heads and selection.has_filter:
        _say_nothing_matches(workspace, selection)
        return
    wanted = selection.ids or tuple(heads)
    wanted = wanted[::-1] if act.last_first else wanted
    if request.dry_run:
        _rehearse(workspace, act, wanted, heads)
        return
    if not request.yes and (selection.has_filter or len(wanted) > 1):
        _confirm(act, list(heads.values()))
    errors = list(_do(workspace, act, wanted))
    if act.wakes and len(errors) < len(wanted):
        poke_scheduler(workspace)
    _finish(errors, wanted)


def _chosen(workspace: Workspace, act: Act, selection: Selection) -> dict[int, "JobHead"]:
    from db.listing import chosen_jobs

    with workspace.database.read() as session:
        return {head.id: head for head in chosen_jobs(session, selection.job_filter(act.states))}


def _say_nothing_matches(workspace: Workspace, selection: Selection) -> None:
    with workspace.database.read() as session:
        unknown = unknown_queue(session, selection.queues)
    say(f"no job matches{'' if unknown is None else f': {unknown}'}; nothing was changed")


def _confirm(act: Act, heads: Sequence["JobHead"]) -> None:
    counts = Counter(head.state.value for head in heads)
    states = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()))
    what = f"{act.verb} {plural(len(heads), 'job')}" + (f" ({states})" if states else "")
    confirm(what, hint="add -y to do it, or --dry-run to look first")


def _do(workspace: Workspace, act: Act, job_ids: Sequence[int]) -> Iterator[PixmillError]:
    """Do it, and say what became of each; gives why it was impossible for those of which it was."""
    for job_id, outcome in perform_all(workspace, act, job_ids):
        if isinstance(outcome, str):
            say(f"job {job_id} {outcome}")
        else:
            yield outcome


def _finish(errors: Sequence[PixmillError], wanted: Sequence[int]) -> None:
    if not errors:
        return
    if len(wanted) == 1:
        raise errors[0]
    for error in errors:
        report(error)
    say(f"{len(wanted) - len(errors)} of {plural(len(wanted), 'job')} done, {len(errors)} not")
    click.get_current_context().exit(1)


def _rehearse(workspace: Workspace, act: Act, wanted: Sequence[int], heads: "dict[int, JobHead]") -> None:
    """Do it, see what comes of it, and roll it back."""
    rows, failed = [], 0
    for job_id in wanted:
        head = heads.get(job_id)
        try:
            words = _outcome(workspace, act, job_id)
        except (NotFound, Conflict, UserError) as error:
            words, failed = f"error: {error.message}", failed + 1
        rows.append([str(job_id), head.name if head else "–", head.state.value if head else "–", words])
    print_table(RUN_COLUMNS, rows, empty="")
    say(f"{act.verb} {plural(len(wanted) - failed, 'job')}: this was a rehearsal, nothing was changed")
    if failed:
        click.get_current_context().exit(1)


def _outcome(workspace: Workspace, act: Act, job_id: int) -> str:
    return rehearse(workspace.database, lambda session: act.do(session, job_id))
