"""The process of a relay (`relay.py`): imports as little as it can, so that it is up at once."""

import asyncio
import json
import signal
import socket
import ssl
import struct
import sys
from collections.abc import Coroutine
from typing import Any

CHUNK_BYTES = 65536
LOOK_SECONDS = 0.05  # how long a cut may stay unseen
SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # what a PostgreSQL client asks before it speaks TLS


class Relaying:
    """What one relay does, by its plan."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._context = _context(plan)
        self._is_cut = False

    async def run(self, listener: socket.socket) -> None:
        """Forward until killed."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._set_cut, True)
        loop.add_signal_handler(signal.SIGUSR2, self._set_cut, False)
        loop.set_exception_handler(lambda _loop, _context: None)  # a handshake that fails is the client's affair
        tls = None if self._plan["is_postgres"] else self._context
        server = await asyncio.start_server(self._serve, sock=listener, ssl=tls)
        await server.serve_forever()

    def _set_cut(self, is_cut: bool) -> None:
        self._is_cut = is_cut

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._passes()
            if self._plan["is_postgres"] and self._context is not None:
                if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                    return
                writer.write(b"S")
                await writer.start_tls(self._context)
            far_reader, far_writer = await self._connected()
            try:
                await _first_done(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                far_writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target = self._plan["target"]
        if isinstance(target, str):
            return await asyncio.open_unix_connection(target)
        return await asyncio.open_connection(*target)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK_BYTES):
            await self._passes()
            target.write(data)
            await target.drain()

    async def _passes(self) -> None:
        while self._is_cut:
            await asyncio.sleep(LOOK_SECONDS)


async def _first_done(*ways: Coroutine[Any, Any, None]) -> None:
    """Wait until one way has ended; the other ends with it."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _context(plan: dict[str, Any]) -> ssl.SSLContext | None:
    if "certificate" not in plan:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(plan["certificate"], plan["key"])
    if plan["clients_of"] is not None:
        context.load_verify_locations(plan["clients_of"])
        context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        asyncio.run(Relaying(json.loads(sys.argv[2])).run(given))
