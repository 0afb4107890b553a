"""The process: a socket, uvicorn, and an end that keeps nobody waiting."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from pixmill.errors import Conflict, PermissionDenied, UserError
from server.app import build_app
from server.options import Options
from server.reading import ReadingWorkspace
from server.templating import compile_templates

NICE = 5  # whoever looks must not slow down who works
GRACE_SECONDS = 3  # for answers that are on their way when the process is told to end
LARGEST_BACKLOG = 128
WARM_SECONDS = 1.0  # that a first look for what is wrong may take
_NEEDED = (
    "client.jobdetails", "client.jobreport.curves", "client.models", "client.situation", "client.why", "db.aliases",
    "db.glances", "db.pipelines", "db.schedules", "db.schema", "db.views", "storage.shards",
)  # fmt: skip  # that pages import when they are asked for
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(workspace: ReadingWorkspace, options: Options, tell: Callable[[str], object]) -> None:
    """Answer until SIGTERM or SIGINT; `tell` is given the address once it can be asked.

    Raises Conflict where the port is taken, UserError for a host that is none here, PermissionDenied, ConfigError.
    """
    _be_patient()
    app = build_app(workspace, options)
    warm_up()
    app.site.health.last(WARM_SECONDS)
    try:
        with bound_socket(options.host, options.port) as listener:
            asyncio.run(_serve(app, listener, lambda: tell(address_of(listener))))
    finally:
        app.site.close()


def _be_patient() -> None:
    """Give way to who works: each thread has a priority of its own, also those that libraries have begun already."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))


def warm_up() -> None:
    """Load and compile what pages need: the first one must not take longer than the others."""
    for name in _NEEDED:
        import_module(name)
    compile_templates()


class _Server(uvicorn.Server):
    """Ends by itself when it is told to: uvicorn's own would raise the signal once more behind that."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT end the main loop."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.should_exit = True


async def _serve(app: ASGIApp, listener: socket.socket, begun: Callable[[], object]) -> None:
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        http="httptools",
        ws="none",
        lifespan="off",
        proxy_headers=False,  # what a client says of itself is no proof
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    listener.listen(LARGEST_BACKLOG)  # from now on whoever comes is answered
    begun()
    await _Server(config).serve([listener])


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket at that address, not listening yet.  Raises Conflict, UserError or PermissionDenied."""
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"--host {host} is no address: {error.strerror}", hint="--host 127.0.0.1") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except PermissionError as error:
        listener.close()
        raise PermissionDenied(f"port {port} may not be opened: {error.strerror}", hint="--port 8765") from error
    except OSError as error:
        listener.close()
        hint = "another dashboard may run already; choose another --port, or 0 for any that is free"
        raise Conflict(f"{host}, port {port} cannot be opened: {error.strerror}", hint=hint) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
