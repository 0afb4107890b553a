"""`pixmill demo`: everything that pixmill does, once, on real images."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.commands.up import bring_up, prepare
from cli.context import Workspace, pass_workspace, user_name
from cli.errors import INTERRUPTED
from cli.local.demonstration import FULL, QUICK, Demonstration
from cli.local.findings import Findings, read_findings
from cli.local.following import follow
from cli.local.locks import is_held
from cli.local.record import lock_path
from cli.local.results import print_results
from cli.local.stopping import patience_seconds, stop_home
from cli.output import say, say_next
from cli.params import examples
from client.wording import duration


@click.command("demo", epilog=examples("pixmill demo", "pixmill demo --quick"))
@click.option("--quick", is_flag=True, help="One model, few images: half a minute instead of some minutes.")
@pass_workspace
@click.pass_context
def command(ctx: click.Context, workspace: Workspace, quick: bool) -> None:
    """Train two generators on handwritten digits, make 10,000 images with each, and judge them.

    The judges are classifiers that learn from the generated images alone, and are tested on real ones. Nothing is
    downloaded. What `pixmill up` would start is started if it does not run, and stopped again in the end.
    """
    begun = time.monotonic()
    try:
        with _served(workspace) as was_running:
            demo = _demonstration(workspace, quick)
            _run(ctx, workspace, demo, goes_on=was_running)
            findings = [read_findings(workspace.database, workspace.settings, line) for line in demo.lines]
            print_results(findings)
    finally:
        workspace.close()
    say("")
    say(f"the demo took {duration(time.monotonic() - begun)}; next:")
    say_next(*_next_commands(workspace, findings[-1], is_running=was_running))


@contextmanager
def _served(workspace: Workspace) -> Iterator[bool]:
    """Whatever serves the home, for the time of the block; gives whether it ran before."""
    settings = workspace.settings
    if is_held(lock_path(settings)):
        yield True
        return
    say(f"starting pixmill on {settings.home}")
    bring_up(workspace, prepare(workspace, ()))
    try:
        yield False
    finally:
        say("stopping pixmill")
        stop_home(settings, patience_seconds(settings))


def _demonstration(workspace: Workspace, quick: bool) -> Demonstration:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    scale = QUICK if quick else FULL
    return Demonstration(workspace.database, workspace.settings, scale, stamp=stamp, user=user_name(), tell=say)


def _run(ctx: click.Context, workspace: Workspace, demo: Demonstration, *, goes_on: bool) -> None:
    """Submit the jobs, and show them until they have ended; Ctrl-C leaves them, and says what becomes of them."""
    try:
        demo.submit()
        follow(workspace, demo.job_ids)
    except KeyboardInterrupt:
        names = " ".join(map(str, demo.job_ids))
        if goes_on:
            say(f"detached; jobs {names} continue: pixmill wait {names}")
        else:
            say(f"interrupted; jobs {names} are kept, and go on from their checkpoints after: pixmill up")
            say(f"or give them up: pixmill cancel {names}")
        ctx.exit(INTERRUPTED)


def _next_commands(workspace: Workspace, best: Findings, *, is_running: bool) -> list[str]:
    pixmill = _program(workspace)
    line = best.model.partition("@")[0]
    return [
        *([] if is_running else [f"{pixmill} up"]),
        f"{pixmill} submit generate --model {line} --n 100k --classes 3,8 --wait",
        f"{pixmill} submit train --model sngan --dataset folder:/path/to/your/images",
        f"{pixmill} output verify {best.output.rpartition('/')[2]}",
        f"{pixmill} ps",
    ]


def _program(workspace: Workspace) -> str:
    """How this shell calls pixmill: not every environment is activated."""
    called = Path(sys.argv[0])
    is_on_path = shutil.which("pixmill") is not None or called.name != "pixmill"
    name = "pixmill" if is_on_path else str(called)
    return name if workspace.home is None else f"{name} --home {workspace.home}"
