"""A relay before a server, as a process of its own: it speaks TLS to clients, and can stop without a word.

The Valkey and the PostgreSQL that pip brings were built without TLS. What stunnel or PgBouncer do before such servers,
this does; clients see no difference, since all that they check happens in the handshake.
"""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.servers import die_with_parent
from tests.tls import Pair

CUT, MEND = signal.SIGUSR1, signal.SIGUSR2
PROGRAM = Path(__file__).with_name("relaying.py")


class Relay:
    """Takes connections on a TCP port and forwards them to a server: the path of a socket, or host and port.

    With a certificate it speaks TLS to its clients; with `is_postgres` it is asked for it first, as that protocol has
    it. With the file of an authority it wants certificates of its clients.
    """

    def __init__(
        self,
        target: Path | tuple[str, int],
        pair: Pair | None = None,
        *,
        is_postgres: bool = False,
        clients_of: Path | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        files = {} if pair is None else {"certificate": str(pair.certificate), "key": str(pair.key)}
        plan: dict[str, Any] = {"target": target, "is_postgres": is_postgres, "clients_of": clients_of, **files}
        with socket.create_server((address, 0), backlog=128) as listener:
            self.address, self.port = listener.getsockname()
            descriptor = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(descriptor), json.dumps(plan, default=str)],
                pass_fds=(descriptor,),
                preexec_fn=_begin,  # noqa: PLW1509
            )

    def cut(self) -> None:
        """Hold every byte, and tell nobody."""
        self._process.send_signal(CUT)

    def mend(self) -> None:
        """Let everything pass again, what was held as well."""
        self._process.send_signal(MEND)

    def stop(self) -> None:
        """Close every connection."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def _begin() -> None:
    """Die with the tests, and do not die of a signal that comes before its handler is there."""
    die_with_parent()
    for number in (CUT, MEND):
        signal.signal(number, signal.SIG_IGN)
