"""`pixmill queue`: queues, paused and resumed."""

from collections.abc import Mapping

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.output import Column, print_list, print_table, say
from cli.params import examples, output_option
from cli.poking import poke_scheduler

STATES = ("pending", "queued", "running", "held")
COLUMNS = [
    Column(title="QUEUE", shrinks=True),
    Column(title="STATE"),
    *(Column(title=state.upper(), align="right") for state in STATES),
    Column(title="REASON", shrinks=True),
]


@click.group("queue", epilog=examples("pixmill queue pause default --reason 'new driver'"))
def command() -> None:
    """Queues: a job belongs to one, and operators pause and resume them."""


@command.command("ls", epilog=examples("pixmill queue ls", "pixmill queue ls -o json"))
@output_option("table", "json")
@pass_workspace
def ls(workspace: Workspace, output_format: str) -> None:
    """List queues with the numbers of their unfinished jobs."""
    from db.views import list_queues

    with workspace.database.read() as session:
        lines = list_queues(session)
    items = [
        {
            "name": line.queue.name,
            "paused": line.queue.paused,
            "reason": line.queue.paused_reason,
            "jobs": {state: next((n for key, n in line.jobs.items() if key == state), 0) for state in STATES},
        }
        for line in lines
    ]
    if output_format == "json":
        print_list("queue_list", items)
        return
    print_table(COLUMNS, [_row(item) for item in items], empty="no queue yet: the first job makes it")


def _row(item: Mapping[str, object]) -> list[str]:
    jobs = item["jobs"]
    assert isinstance(jobs, dict)
    state = "paused" if item["paused"] else "open"
    return [str(item["name"]), state, *(str(jobs[state]) for state in STATES), str(item["reason"] or "")]


@command.command("pause", epilog=examples("pixmill queue pause default --reason 'new driver'"))
@click.argument("name")
@click.option("--reason", help="Why; `pixmill queue ls` shows it.")
@pass_workspace
def pause(workspace: Workspace, name: str, reason: str | None) -> None:
    """Let nothing more of a queue start; what runs goes on."""
    from db.queues import pause_queue

    actor = user_name()
    changed = workspace.database.transact(lambda session: pause_queue(session, name, actor=actor, why=reason))
    say(f"queue {name} is paused" if changed else f"queue {name} was paused already")


@command.command("resume", epilog=examples("pixmill queue resume default"))
@click.argument("name")
@pass_workspace
def resume(workspace: Workspace, name: str) -> None:
    """Let a paused queue's jobs start again."""
    from db.queues import resume_queue

    actor = user_name()
    changed = workspace.database.transact(lambda session: resume_queue(session, name, actor=actor))
    say(f"queue {name} is open" if changed else f"queue {name} was not paused")
    if changed:
        poke_scheduler(workspace)
