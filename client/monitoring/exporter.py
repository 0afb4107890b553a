"""Serves metrics over HTTP, in threads that keep nothing else of their process waiting, and cannot end it."""

import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from client.monitoring.exposition import Exposition
from db.engine import open_database
from pixmill.settings import Settings

log = logging.getLogger(__name__)

PATH = "/metrics"
TALK_SECONDS = 10.0  # that a client may be silent in the middle of a request
MOST_CLIENTS = 16  # at once; the others are told to come again
RETRY_SECONDS = 15.0  # between two tries to listen: another scheduler of this host may have the port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.registry = registry
        self.places = threading.Semaphore(MOST_CLIENTS)
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  fixed by socketserver
        """A client that goes away in the middle is no event."""
        log.debug("a client of the metrics went away")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = TALK_SECONDS
    server_version = "pixmill"
    sys_version = ""

    def do_GET(self) -> None:  # fixed by http.server
        """Metrics, or where they are."""
        if self.path.partition("?")[0] != PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"metrics are at {PATH}\n".encode(), "text/plain; charset=utf-8")
        elif not self.server.places.acquire(blocking=False):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many ask at once\n", "text/plain; charset=utf-8")
        else:
            try:
                encode, content_type = choose_encoder(self.headers.get("Accept") or "")
                self._answer(HTTPStatus.OK, encode(self.server.registry), content_type)
            finally:
                self.server.places.release()

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  fixed by http.server
        """A line for each scrape says nothing."""
        log.debug(format, *args)


class Exporter:
    """Listens where `scheduler.metrics` says, on a database connection of its own."""

    def __init__(self, settings: Settings) -> None:
        assert settings.scheduler.metrics is not None
        host, _, port = settings.scheduler.metrics.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._database = open_database(settings, read_only=True)
        self._registry = CollectorRegistry()
        self._registry.register(Exposition(self._database, settings))
        self._server: _Server | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return 0 if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen, as soon as the port is free."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stop.set()
        if self._server is not None:
            self._server.shutdown()
        self._thread.join(1.0)
        self._database.dispose()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._serve()
            except OSError as error:
                where = {"host": self._host, "port": self._port}
                log.warning("metrics are not served", extra={"action": "listen", **where, "reason": str(error)})
            except Exception:
                log.exception("metrics are not served", extra={"action": "listen"})
            self._stop.wait(RETRY_SECONDS)

    def _serve(self) -> None:
        with _Server(self._host, self._port, self._registry) as server:
            self._server = server
            where = f"http://{self._host}:{self.port}{PATH}"
            log.info("metrics are served", extra={"action": "listen", "url": where})
            server.serve_forever(poll_interval=0.2)
