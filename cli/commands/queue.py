"""`pixmill queue`: queues, paused, resumed and limited."""

from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.draining import drain_options
from cli.lazy import NamedGroup
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import say
from cli.params import LIMIT, NO_LIMIT, QUEUE, SPAN, WEIGHT, examples
from cli.poking import poke_scheduler
from cli.queueacting import purge_queue, wait_until_drained
from cli.queues import COLUMNS, queue_row
from cli.removing import Removal, removal_options
from cli.watching import watchable
from client.queues import read_queues
from client.wording import plural

if TYPE_CHECKING:
    from db.tables.jobs import Queue

LISTING = Listing(schema="queue_list", columns=COLUMNS)


@click.group(
    "queue",
    cls=NamedGroup,
    epilog=examples(
        "pixmill queue pause default --reason 'new driver'", "pixmill queue set bulk --max-running 4 --weight 0.5"
    ),
)
def command() -> None:
    """Queues: a job belongs to one, and operators pause, resume and limit them."""


@command.command("ls", epilog=examples("pixmill queue ls", "pixmill queue ls -o json"))
@watchable
@listing_options(LISTING)
@pass_workspace
def ls(workspace: Workspace, shape: Shape) -> None:
    """List queues: their unfinished jobs by state, their limits and their weight.

    TASKS are those that run or are about to, of at most so many; PER USER is the limit for each user. A queue is full
    when it runs all that it may. The weight is its share of the devices beside other queues.
    """
    with workspace.database.read() as session:
        items = read_queues(session)
    telling = Telling[dict[str, Any]](to_json=dict, row=queue_row, ident=lambda item: item["name"])
    print_listing(LISTING, shape, items, telling, empty="no queue yet: the first job makes it")


@command.command("pause", epilog=examples("pixmill queue pause default --reason 'new driver'"))
@click.argument("name", type=QUEUE)
@click.option("--reason", metavar="TEXT", help="Why; `pixmill queue ls` and the REASON of its jobs tell it.")
@pass_workspace
def pause(workspace: Workspace, name: str, reason: str | None) -> None:
    """Let nothing more of a queue start; what runs goes on."""
    from db.queues import pause_queue

    actor = user_name()
    changed = workspace.database.transact(lambda session: pause_queue(session, name, actor=actor, why=reason))
    say(f"queue {name} is paused" if changed else f"queue {name} was paused already")


@command.command(
    "drain",
    epilog=examples(
        "pixmill queue drain default --reason 'new driver' --wait",
        "pixmill queue drain default --reason 'new driver' --now --wait --timeout 5m",
    ),
)
@click.argument("name", type=QUEUE)
@drain_options
@click.option("--wait", is_flag=True, help="Until nothing of it runs.")
@click.option("--timeout", type=SPAN, metavar="TIME", help="With --wait, give up after this (rc 101): 90, 10m, 2h.")
@pass_workspace
def drain(workspace: Workspace, name: str, reason: str, now: bool, wait: bool, timeout: float | None) -> None:
    """Empty the devices of a queue: nothing more of it starts until `pixmill queue resume`.

    Jobs may still be submitted to it, and wait. Ctrl-C during --wait leaves it paused.
    """
    from db.emptying import drain_queue, running_tasks

    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait")
    actor = user_name()
    changed = workspace.database.transact(lambda session: drain_queue(session, name, actor=actor, why=reason, now=now))
    with workspace.database.read() as session:
        running = running_tasks(session, name)
    say(f"queue {name} is paused" if changed else f"queue {name} was paused already")
    if running:
        fate = "stop at their next checkpoint, and wait again" if now else "go on to their end; --now has them stopped"
        say(f"tasks of it that run, {running:,}, {fate}")
    if wait:
        wait_until_drained(workspace, name, timeout)


@command.command(
    "purge", epilog=examples("pixmill queue purge default --dry-run", "pixmill queue purge bulk --reason 'wrong model'")
)
@click.argument("name", type=QUEUE)
@removal_options
@pass_workspace
def purge(workspace: Workspace, /, name: str, **flags: Any) -> None:
    """Cancel all jobs of a queue of which nothing runs: those that are pending, queued or held.

    What runs goes on, and so does what begins meanwhile. Cancelled jobs keep what they have made, and `pixmill job
    retry` brings them back. Asks for the queue's name.
    """
    purge_queue(workspace, name, Removal(**flags))


@command.command("resume", epilog=examples("pixmill queue resume default", "pixmill queue resume bulk --reason fixed"))
@click.argument("name", type=QUEUE)
@click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")
@pass_workspace
def resume(workspace: Workspace, name: str, reason: str | None) -> None:
    """Let a paused queue's jobs start again."""
    from db.queues import resume_queue

    actor = user_name()
    changed = workspace.database.transact(lambda session: resume_queue(session, name, actor=actor, why=reason))
    say(f"queue {name} is open" if changed else f"queue {name} was not paused")
    if changed:
        poke_scheduler(workspace)


@command.command(
    "set",
    epilog=examples(
        "pixmill queue set bulk --max-running 4",
        "pixmill queue set default --max-running none --max-running-per-user 2",
        "pixmill queue set night --weight 3",
    ),
)
@click.argument("name", type=QUEUE)
@click.option("--max-running", type=LIMIT, metavar="N|none", help="Tasks of it at once, at most.")
@click.option("--max-running-per-user", type=LIMIT, metavar="N|none", help="Tasks of one user at once, at most.")
@click.option("--weight", type=WEIGHT, metavar="W", help="Its share beside other queues; 2 is twice that of 1.")
@click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")
@pass_workspace
def set_(workspace: Workspace, /, name: str, weight: float | None, reason: str | None, **limits: Any) -> None:
    """Limit a queue, or change its share of the devices; what runs beyond a new limit goes on."""
    from db.queues import set_queue

    given = {name: _limit(value) for name, value in limits.items() if value is not None}
    if weight is None and not given:
        raise click.UsageError("say what to change: --max-running, --max-running-per-user or --weight")
    actor = user_name()
    queue = workspace.database.transact(
        lambda session: set_queue(session, name, actor=actor, why=reason, weight=weight, **given)
    )
    say(f"queue {name}: {_terms(queue)}")
    poke_scheduler(workspace)


def _limit(value: int | str) -> int | None:
    return None if value == NO_LIMIT else int(value)


def _terms(queue: "Queue") -> str:
    limit, per_user = queue.max_running, queue.max_running_per_user
    tasks = "any number of tasks" if limit is None else f"at most {plural(limit, 'task')}"
    each = "" if per_user is None else f", {per_user} of each user"
    return f"{tasks} at once{each}; weight {queue.weight:g}"
