"""`pixmill job`: all that can be done with jobs."""

import click

from cli.lazy import LazyCommand, LazyGroup
from cli.params import examples

_HERE = "cli.commands.job"

COMMANDS = {
    "submit": LazyCommand(f"{_HERE}.submit:command", "ask for a job: train, generate, evaluate"),
    "ls": LazyCommand(f"{_HERE}.ls:command", "list jobs, and why they wait or failed"),
    "show": LazyCommand(f"{_HERE}.show:command", "one job in full; --spec writes a file that repeats it"),
    "logs": LazyCommand(f"{_HERE}.logs:command", "show what a job wrote; -f follows it"),
    "wait": LazyCommand(f"{_HERE}.wait:command", "wait until jobs have ended"),
    "cancel": LazyCommand(f"{_HERE}.cancel:command", "stop jobs"),
    "release": LazyCommand(f"{_HERE}.release:command", "let held jobs go on"),
    "report": LazyCommand(f"{_HERE}.report:command", "write a job's report, one HTML file"),
}


@click.group("job", cls=LazyGroup, sections=[("Commands", COMMANDS)], epilog=examples("pixmill job show 12"))
def command() -> None:
    """Jobs: what people asked for, and what became of it."""
