"""`pixmill job`: all that can be done with jobs."""

import click

from cli.lazy import LazyCommand, LazyGroup
from cli.params import examples

_HERE = "cli.commands.job"

LOOK = {
    "ls": LazyCommand(f"{_HERE}.ls:command", "list jobs, and why they wait or failed"),
    "show": LazyCommand(f"{_HERE}.show:command", "one job in full; --spec writes a file that repeats it"),
    "why": LazyCommand(f"{_HERE}.why:command", "all that keeps a job from going on, and what can be done"),
    "logs": LazyCommand(f"{_HERE}.logs:command", "show what a job wrote; -f follows it"),
    "wait": LazyCommand(f"{_HERE}.wait:command", "wait until jobs have ended"),
    "report": LazyCommand(f"{_HERE}.report:command", "write a job's report, one HTML file"),
}
ACT = {
    "submit": LazyCommand(f"{_HERE}.submit.group:command", "ask for a job: train, generate, evaluate, compress …"),
    "cancel": LazyCommand(f"{_HERE}.cancel:command", "stop jobs"),
    "hold": LazyCommand(f"{_HERE}.hold:command", "keep jobs from starting"),
    "release": LazyCommand(f"{_HERE}.release:command", "let held jobs go on"),
    "requeue": LazyCommand(f"{_HERE}.requeue:command", "take running jobs off their devices, to wait again"),
    "retry": LazyCommand(f"{_HERE}.retry:command", "run again what failed or was cancelled"),
    "top": LazyCommand(f"{_HERE}.top:command", "let jobs go first in their queue"),
    "set": LazyCommand(f"{_HERE}.set:command", "change priority, queue or time limit"),
}
COMMANDS = {**LOOK, **ACT}


@click.group(
    "job",
    cls=LazyGroup,
    sections=[("Look", LOOK), ("Act", ACT)],
    epilog=examples("pixmill job why 12", "pixmill job retry --state failed"),
)
def command() -> None:
    """Jobs: what people asked for, and what became of it."""
