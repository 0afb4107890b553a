"""`pixmill up`: everything that serves a home, on this machine, in one command."""

from collections.abc import Sequence

import click

from cli.context import Workspace, pass_workspace
from cli.local.devices import match_devices, needs_probe, parse_devices
from cli.local.launch import Launch, become_supervisor, check_home, supervisor_log
from cli.local.record import UpRecord
from cli.local.stopping import patience_seconds, stop_leftovers
from cli.output import say
from cli.params import examples
from pixmill.settings import Settings
from scheduler.connecting import require_welcome
from worker.parent.devices import DeviceProbe


@click.command(
    "up", epilog=examples("pixmill up", "pixmill up --device cuda:0 --device cuda:1", "pixmill up --foreground")
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="auto|cpu|cuda:N|cuda:N-M",
    help="A device, or several as one, that get a worker; may be repeated.  "
    "[default: auto, every GPU, or the CPU without one]",
)
@click.option("--foreground", is_flag=True, help="Stay, and log to stderr: for service managers and containers.")
@pass_workspace
def command(workspace: Workspace, devices: tuple[str, ...], foreground: bool) -> None:
    """Start the broker, a scheduler and the workers of this machine, and wait until they are ready.

    They run in the background until `pixmill down`, and are started again whenever one dies. The broker is a Redis
    server of pixmill's own unless broker.url names one. A second `up` is refused (rc 4).
    """
    chosen = prepare(workspace, devices)
    settings = workspace.settings
    if foreground:
        _clear(settings)
        workspace.close()
        become_supervisor(settings, chosen, workspace.config)
    _say_what_runs(settings, bring_up(workspace, chosen))


def prepare(workspace: Workspace, devices: Sequence[str]) -> tuple[str, ...]:
    """Check everything that can be wrong before a process is started; gives the devices to use.

    Raises UserError, AlreadyRunning, PermissionDenied, DiskFull, SchemaMismatch, DatabaseUnreachable or BrokerRefuses.
    """
    asked = parse_devices(devices)
    settings = workspace.settings
    check_home(settings)
    if not settings.broker_is_embedded:
        require_welcome(settings)
    if not needs_probe(asked):
        _prepare_database(workspace)
        return asked
    with DeviceProbe() as probe:  # it imports torch while the database is looked at
        _prepare_database(workspace)
        return match_devices(asked, probe.names())


def _prepare_database(workspace: Workspace) -> None:
    _ = workspace.database  # opened, and its schema made or checked, when first asked for


def bring_up(workspace: Workspace, devices: Sequence[str]) -> UpRecord:
    """Start the supervisor in the background, and wait until everything is ready."""
    _clear(workspace.settings)
    return Launch(workspace.settings, workspace.database, devices, workspace.config, say).wait_ready()


def _clear(settings: Settings) -> None:
    for name in stop_leftovers(settings, patience_seconds(settings)):
        say(f"stopped {name}, which an earlier start had left")


def _say_what_runs(settings: Settings, record: UpRecord) -> None:
    broker = "embedded Redis" if settings.broker_is_embedded else "the configured Redis"
    say(f"pixmill runs on {settings.home}: {broker}, scheduler, {_workers(record.devices)}")
    say(f"logs: {supervisor_log(settings).parent}")
    say("next: pixmill demo, pixmill status; pixmill down stops it")


def _workers(devices: Sequence[str]) -> str:
    noun = "worker" if len(devices) == 1 else "workers"
    return f"{noun} on {', '.join(devices)}"
