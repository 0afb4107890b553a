"""A webhook of the tests: a real HTTP server on this machine that answers as it is told, and keeps what it got."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: Mapping[str, str]  # names as they were sent
    body: bytes


Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Keeps each request, and answers as the next behaviour says."""

    server: "Receiver"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.note(Request(self.path, dict(self.headers), body))
        with suppress(OSError):  # whoever asked may have gone
            self.server.next_behaviour()(self)

    def log_message(self, *_details: Any) -> None:
        """Nothing."""


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    def act(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return act


def drop(handler: Handler) -> None:
    """Hang up without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang(handler: Handler) -> None:
    """Say nothing."""
    handler.server.closing.wait(PATIENCE)


def drip(handler: Handler) -> None:
    """Say a little again and again, and never come to an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.closing.wait(0.01):
        handler.wfile.write(b"X-A: b\r\n" if handler.server.drips_lines else b"x")


def flood(handler: Handler) -> None:
    """Say more than anybody wants to read."""
    handler.wfile.write(b"HTTP/1.1 500 Overflow\r\n\r\n")
    while not handler.server.closing.is_set():
        handler.wfile.write(b"water " * 10_000)


class Receiver(ThreadingHTTPServer):
    """Answers 200 unless it was told otherwise."""

    daemon_threads = True
    drips_lines = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[Request] = []
        self.closing = threading.Event()
        self.usual: Behaviour = answer(200)
        self.url = f"http://127.0.0.1:{self.server_port}/hook?team=night"
        self._arrived: Queue[Request] = Queue()
        self._next: Queue[Behaviour] = Queue()

    def will(self, *behaviours: Behaviour) -> None:
        """How the next requests are answered, one after the other."""
        for behaviour in behaviours:
            self._next.put(behaviour)

    def next_behaviour(self) -> Behaviour:
        return self.usual if self._next.empty() else self._next.get()

    def note(self, request: Request) -> None:
        self.got.append(request)
        self._arrived.put(request)

    def arrival(self) -> Request:
        """The next request that nobody has asked for yet."""
        return self._arrived.get(timeout=PATIENCE)

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.got]


@contextmanager
def receiving(certificate: Path | None = None) -> Iterator[Receiver]:
    """A server that is gone afterwards; with a certificate it speaks TLS."""
    with Receiver() as receiver:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
            receiver.url = receiver.url.replace("http:", "https:")
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.closing.set()
            receiver.shutdown()
            thread.join(PATIENCE)
