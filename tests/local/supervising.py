"""A supervisor over programs that the test chooses: `python -m tests.local.supervising HOME ROLE=COMMAND…`."""

import os
import shlex
import sys
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import get_args

from cli.local.children import Child
from cli.local.processes import spawn_bound
from cli.local.record import Role
from cli.local.service_logs import open_log
from cli.local.supervisor import Supervisor
from pixmill.interpreter import with_our_code
from pixmill.logs import log_to_stderr
from pixmill.settings import Settings, load_settings


def make_child(settings: Settings, text: str) -> Child:
    role_name, _, command = text.partition("=")
    role: Role = next(role for role in get_args(Role) if role == role_name.partition("-")[0])
    log = settings.log_folder / f"{role_name}.log"
    return Child(role_name, role, log, partial(_spawn, shlex.split(command), log))


def _spawn(command: list[str], log: Path) -> "Popen[bytes]":
    with open_log(log) as output:
        return spawn_bound(command, output, with_our_code(os.environ))


def main() -> None:
    log_to_stderr()
    settings = load_settings(flags={"home": sys.argv[1]})
    Supervisor(settings, [make_child(settings, text) for text in sys.argv[2:]], ["cpu"]).run()


if __name__ == "__main__":
    main()
