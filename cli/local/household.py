"""What serves a home: the embedded server, a scheduler, and a worker for each device."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from subprocess import Popen

from cli.local.children import Child
from cli.local.processes import spawn_bound
from cli.local.server import server_log, start_server
from cli.local.service_logs import open_log
from pixmill.interpreter import python_command, with_our_code
from pixmill.settings import Settings


def make_children(settings: Settings, devices: Sequence[str], config: Path | None) -> list[Child]:
    """All processes of the home, in the order in which they start; none is started yet."""
    children = []
    if settings.broker_is_embedded:
        children.append(Child("server", "server", server_log(settings), partial(start_server, settings)))
    log = settings.log_folder / "scheduler.log"
    children.append(Child("scheduler", "scheduler", log, _starter(settings, config, log, "scheduler", "run")))
    for device in devices:
        name = worker_name(device)
        log = settings.log_folder / f"{name}.log"
        start = _starter(settings, config, log, "worker", "start", "--device", device)
        children.append(Child(name, "worker", log, start))
    return children


def worker_name(device: str) -> str:
    """The name of a device's worker among the children, fit for a file.

    >>> worker_name("cuda:0")
    'worker-cuda-0'
    """
    return f"worker-{device.replace(':', '-')}"


def _starter(settings: Settings, config: Path | None, log: Path, *arguments: str) -> "Callable[[], Popen[bytes]]":
    chosen = ("--home", str(settings.home), *(("--config", str(config)) if config else ()))
    command = python_command("-m", "cli", *chosen, *arguments)

    def start() -> "Popen[bytes]":
        with open_log(log) as output:
            return spawn_bound(command, output, with_our_code(os.environ))

    return start
