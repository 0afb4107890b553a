"""The `pixmill` command.

What stands here is read at every call, so it names commands and imports none of them.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli.completing import VARIABLE, register_shells
from cli.context import Workspace
from cli.errors import run_reporting
from cli.interrupts import end_when_told, keep_interrupts
from cli.lazy import LazyCommand, LazyGroup
from client.moments import choose_utc
from pixmill import __version__
from pixmill.interpreter import begin_quickly

_JOB = "cli.commands.job"

SECTIONS = [
    (
        "Every day",
        {
            "submit": LazyCommand(
                f"{_JOB}.submit.group:command", "ask for a job: train, generate, evaluate, compress …"
            ),
            "ps": LazyCommand(f"{_JOB}.ls:command", "list jobs, and why they wait or failed"),
            "logs": LazyCommand(f"{_JOB}.logs:command", "show what a job wrote; -f follows it"),
            "wait": LazyCommand(f"{_JOB}.wait:command", "wait until jobs have ended"),
            "cancel": LazyCommand(f"{_JOB}.cancel:command", "stop jobs"),
            "top": LazyCommand("cli.commands.top:command", "queues, devices, what runs and waits: a live view"),
            "status": LazyCommand("cli.commands.status:command", "everything on one screen; rc 1 when degraded"),
        },
    ),
    (
        "Things",
        {
            "job": LazyCommand(f"{_JOB}.group:command", "jobs: why, show, hold, requeue, retry, set, top, …"),
            "output": LazyCommand("cli.commands.output.group:command", "what jobs have made: verify, export, query"),
            "dataset": LazyCommand("cli.commands.dataset:command", "real images under a name: add, ls, verify, …"),
            "model": LazyCommand(
                "cli.commands.model.group:command", "trained models: ls, compare, promote, rollback, …"
            ),
            "pipeline": LazyCommand(
                "cli.commands.pipeline:command", "jobs that follow one another: run, show, retry, …"
            ),
            "schedule": LazyCommand("cli.commands.schedule:command", "jobs again and again: add, ls, next, history, …"),
            "notify": LazyCommand("cli.commands.notify:command", "what operators are told by webhook: ls, test, retry"),
            "queue": LazyCommand("cli.commands.queue:command", "queues: ls, pause, resume, drain, purge, set"),
            "worker": LazyCommand("cli.commands.worker:command", "workers: start, ls, check, drain, resume"),
            "device": LazyCommand("cli.commands.device:command", "CPUs and GPUs: ls, drain, resume"),
        },
    ),
    (
        "This machine",
        {
            "up": LazyCommand("cli.commands.up:command", "start broker, scheduler and workers here"),
            "down": LazyCommand("cli.commands.down:command", "stop what `up` started"),
            "demo": LazyCommand("cli.commands.demo:command", "train, generate and evaluate on real digits"),
            "scheduler": LazyCommand("cli.commands.scheduler:command", "the process that decides what runs: run"),
            "db": LazyCommand("cli.commands.db:command", "the database: its schema, and copies of it"),
            "metrics": LazyCommand("cli.commands.metrics:command", "numbers for Prometheus, printed once"),
            "doctor": LazyCommand("cli.commands.doctor:command", "a thorough examination, with remedies"),
            "gc": LazyCommand("cli.commands.gc:command", "files that no row needs any more: plan, run"),
            "server": LazyCommand(
                "cli.commands.server:command", "the dashboard: jobs, devices, models, images as pages"
            ),
            "config": LazyCommand("cli.commands.config:command", "settings and where they come from: show"),
            "schema": LazyCommand("cli.commands.schema:command", "JSON Schemas of what -o json prints"),
            "completion": LazyCommand("cli.commands.completion:command", "print a shell's completion script"),
        },
    ),
]

EPILOG = """\b
Examples:
  pixmill up
  pixmill submit train --model vae --dataset digits
  pixmill ps
"""


class RootGroup(LazyGroup):
    """The outermost command: it makes the workspace, and turns every exception into words and an exit code."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **extra: Any) -> Any:
        """Run a command line and exit."""
        begin_quickly()
        if VARIABLE in os.environ:
            register_shells()
        workspace = Workspace()
        extra = {"obj": workspace, **extra, "standalone_mode": False}
        run = super().main
        run_reporting(lambda: run(args, *positional, **extra), wants_debug=lambda: workspace.debug)


@click.group(
    cls=RootGroup,
    sections=SECTIONS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings file, instead of ./pixmill.toml."
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the database, the files and the logs are kept.",
)
@click.option("--utc", is_flag=True, help="Times in UTC, instead of this host's clocks or how long ago.")
@click.option("--debug", is_flag=True, help="Show where errors come from.")
@click.version_option(__version__, prog_name="pixmill", message="%(prog)s %(version)s")
@click.pass_context
def command(ctx: click.Context, config: Path | None, home: Path | None, *, utc: bool, debug: bool) -> None:
    """Train image generators, and mass-produce image data sets with them.

    Jobs are stored in a database and run, one a device, by workers that a scheduler wakes.
    """
    choose_utc(utc)
    workspace = ctx.ensure_object(Workspace)
    workspace.config, workspace.home = config, home
    workspace.debug = workspace.debug or debug
    ctx.call_on_close(workspace.close)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot write a letter shows a substitute; a table must not fail for it.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    keep_interrupts()
    end_when_told()
    command(prog_name="pixmill")
