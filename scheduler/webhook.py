"""One signed request to the operators' webhook, and its answer.

Body, headers and signature follow the Standard Webhooks specification, for which receivers have libraries. Nothing is
followed: an answer outside of 200 to 299 is a failure, a redirect too. Certificates are verified. What the answer says
is read up to a limit, and the whole exchange takes no longer than its time-out. The name is looked up once for each
try, and the line goes to an address of it that pixmill/addresses.py lets pass: a name may stand for another one later.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixmill import __version__
from pixmill.addresses import is_never_allowed, why_not
from pixmill.errors import ConfigError, CorruptRow
from pixmill.notifications import VERSION, Body, told
from pixmill.times import write_time

KEY_PREFIX = "whsec_"  # of a secret in base64
LEAST_KEY_BYTES = 16
PLAIN_TOKEN = re.compile(r"[0-9A-Za-z_-]+")  # it becomes a header
ANSWER_BYTES = 4096  # that are read of an answer's body
SHOWN_LETTERS = 200  # and shown of it
LONGEST_RETRY_AFTER = 3600.0  # seconds that a receiver may ask for
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


@dataclass(frozen=True)
class Message:
    """What is told, the same at each try."""

    token: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    status: int | None  # None: there was no answer
    error: str | None = None  # None: the receiver has it
    retry_after_seconds: float = 0.0  # as the receiver asked

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.error is None

    @property
    def is_receiver_ill(self) -> bool:
        """Whether another message would fare no better now."""
        return self.status is None or self.status == TOO_MANY_REQUESTS or self.status >= SERVER_ERROR


def make_message(
    token: str, kind: str, subject: str, facts: Mapping[str, Any], *, at: datetime, count: int = 1
) -> Message:
    """The message of a notification; its body is that of docs/notification.schema.json.

    Raises CorruptRow where that cannot hold what is given.
    """
    text = f"pixmill: {told(kind, subject, facts, count)}"
    try:
        body = Body(
            version=VERSION,
            id=token,
            type=kind,
            timestamp=write_time(at),
            subject=subject,
            count=count,
            text=text,
            data=dict(facts),
        )
        message = Message(token, body.model_dump_json().encode())
    except ValueError as error:  # pydantic's, of several lines
        raise CorruptRow(f"it cannot be written as a message: {str(error).splitlines()[0]}") from error
    if not PLAIN_TOKEN.fullmatch(token):
        raise CorruptRow(f"the database holds {token[:SHOWN_LETTERS]!r} where letters and digits belong")
    return message


def read_key(file: Path | None) -> bytes | None:
    """The key that requests are signed with: the file's text, or what it holds in base64 after `whsec_`.

    None where no file is named. Raises ConfigError, which never shows what the file holds.
    """
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").strip()
        is_encoded = text.startswith(KEY_PREFIX)
        key = base64.b64decode(text.removeprefix(KEY_PREFIX), validate=True) if is_encoded else text.encode()
    except OSError as error:
        raise ConfigError(f"notify.secret_file {file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, binascii.Error):
        raise ConfigError(f"notify.secret_file {file} holds no text, or no base64 after {KEY_PREFIX}") from None
    if len(key) < LEAST_KEY_BYTES:
        found = f"notify.secret_file {file} holds {len(key)} bytes; {LEAST_KEY_BYTES} are the least"
        raise ConfigError(found, hint=f"make one: openssl rand -hex 32 > {file}")
    return key


def signed_headers(message: Message, key: bytes | None, at: int) -> dict[str, str]:
    """The headers of a try at a time, in seconds since 1970."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"pixmill/{__version__}",
        "webhook-id": message.token,
        "webhook-timestamp": str(at),
    }
    if key is not None:
        content = b".".join((message.token.encode(), str(at).encode(), message.body))
        headers["webhook-signature"] = f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"
    return headers


class _NotAllowed(Exception):
    """The name of the webhook stands for addresses where nothing is sent; the message says which."""


class _PlainLine(http.client.HTTPConnection):
    """A line to an address that was looked at, instead of one to whatever the name stands for by then."""

    allow_private = False

    def connect(self) -> None:
        """Raises _NotAllowed, or OSError."""
        self.sock = _connected(self.host, self.port, float(self.timeout or 1.0), allow_private=self.allow_private)


class _SecureLine(http.client.HTTPSConnection, _PlainLine):
    """The same with TLS, for which the name counts as before."""


def post(
    url: str, message: Message, key: bytes | None, timeout_seconds: float, *, allow_private: bool = False
) -> Answer:
    """Send a message once; to this machine and to a private network only where that is allowed."""
    headers = signed_headers(message, key, int(time.time()))
    try:
        return _exchange(url, message.body, headers, time.monotonic() + timeout_seconds, allow_private=allow_private)
    except _NotAllowed as error:
        return Answer(None, str(error))
    except TimeoutError:
        return Answer(None, f"no answer within {timeout_seconds:g} seconds")
    except ssl.SSLCertVerificationError as error:
        return Answer(None, f"its certificate is not accepted: {error.verify_message}")
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, _words(error))


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or "it hung up without an answer"
    return f"{type(error).__name__}: {text}"[:SHOWN_LETTERS]


def _exchange(url: str, body: bytes, headers: Mapping[str, str], deadline: float, *, allow_private: bool) -> Answer:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, max(0.001, deadline - time.monotonic()))
    connection.allow_private = allow_private
    try:
        connection.connect()
        with _cut_off(connection.sock, deadline) as is_cut:
            try:
                connection.request("POST", target, body, dict(headers))
                answer = _judged(connection.getresponse())
            except (OSError, http.client.HTTPException):
                if not is_cut.is_set():
                    raise
        if is_cut.is_set():  # what was cut off may look whole
            raise TimeoutError
        return answer
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout_seconds: float) -> _PlainLine:
    if scheme == "https":
        return _SecureLine(host, port, timeout=timeout_seconds, context=ssl.create_default_context())
    return _PlainLine(host, port, timeout=timeout_seconds)


def _connected(host: str, port: int, timeout_seconds: float, *, allow_private: bool) -> socket.socket:
    """A line to the first address of a host that may be used and answers.  Raises _NotAllowed, or OSError."""
    refused: str | None = None
    failure: OSError = OSError("it has no address")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is empty, or longer than names may be
        raise OSError(f"{host} is no name of a host") from error
    for family, _kind, _protocol, _name, address in found:
        reason = why_not(str(address[0]), allow_private=allow_private)
        if reason is not None:
            way_out = "" if is_never_allowed(reason) else "; notify.allow_private lets requests go there"
            refused = refused or f"nothing is sent to {host} at {address[0]}, {reason}{way_out}"
            continue
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            line.settimeout(timeout_seconds)
            line.connect(address)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            line.close()
            failure, refused = error, None
            continue
        return line
    if refused is not None:
        raise _NotAllowed(refused)
    raise failure


@contextmanager
def _cut_off(line: socket.socket, deadline: float) -> Iterator[threading.Event]:
    """End what is said on a line at the deadline: a socket's own time-out begins anew with each byte."""
    is_cut = threading.Event()

    def cut() -> None:
        is_cut.set()
        with suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)  # of the bare socket: TLS would take leave of the other side

    timer = threading.Timer(max(0.001, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield is_cut
    finally:
        timer.cancel()


def _judged(response: http.client.HTTPResponse) -> Answer:
    if 200 <= response.status < 300:
        return Answer(response.status)
    said = response.read(ANSWER_BYTES).decode("utf-8", errors="replace")
    redirect = " (redirects are not followed)" if 300 <= response.status < 400 else ""
    answered = f"it answers {response.status} {_shown(response.reason)}{redirect}"
    words = _shown(said)
    return Answer(response.status, f"{answered}: {words}" if words else answered, _retry_after(response))


def _shown(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:SHOWN_LETTERS]


def _retry_after(response: http.client.HTTPResponse) -> float:
    """Seconds; a date is not read, and nobody is asked to wait for ever."""
    text = response.getheader("Retry-After", "")
    return min(LONGEST_RETRY_AFTER, float(text)) if text.isascii() and text.isdigit() else 0.0
