"""Where the dashboard listens, and whom it answers."""

import ipaddress
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixmill.errors import ConfigError, UserError

DEFAULT_PORT = 8765
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MIN_TOKEN_CHARACTERS = 16  # which nobody guesses in a lifetime
_TOKEN_HINT = "head -c 32 /dev/urandom | base64 > FILE && chmod 600 FILE"  # noqa: S105  how to make one


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line decides of a dashboard."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT  # 0: any that is free
    token: str | None = field(default=None, repr=False)  # None: whoever reaches the port may look
    allow_writes: bool = False
    allowed_hosts: tuple[str, ...] = LOCAL_HOSTS  # of the Host header, without a port


def chosen_options(
    *, host: str, port: int, token_file: Path | None, allow_writes: bool, allowed_hosts: Sequence[str]
) -> Options:
    """Check what was asked for.  Raises UserError, and ConfigError for a token that is none or that others can read."""
    token = None if token_file is None else read_token(token_file)
    if token is None and not is_loopback(host):
        raise UserError(
            f"--host {host} would open the dashboard to the network without asking who comes",
            hint=f"add --token-file FILE; make one: {_TOKEN_HINT}",
        )
    names = [*LOCAL_HOSTS, *allowed_hosts]
    if not is_loopback(host) and not _is_any(host):
        names.append(f"[{host}]" if ":" in host else host)
    known = tuple(dict.fromkeys(_host_name(name) for name in names))
    return Options(host=host, port=port, token=token, allow_writes=allow_writes, allowed_hosts=known)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach the address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _host_name(name: str) -> str:
    if not name or len(name) > 255 or any(letter in "/@ \t,*" or not letter.isprintable() for letter in name):
        raise UserError(f"--allowed-host {name!r} is no host name", hint="--allowed-host pixmill.internal")
    return name.lower()


def read_token(path: Path) -> str:
    """The token in a file: its text without the last newline.

    Raises ConfigError for a file that cannot be read, that everybody on this machine can read, or that is too short.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path} cannot be read: {error}", hint=_TOKEN_HINT) from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"--token-file {path} is open to everybody on this machine", hint=f"chmod o-rw {path}")
    if len(text) < MIN_TOKEN_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        hint = f"at least {MIN_TOKEN_CHARACTERS} letters and digits: {_TOKEN_HINT}"
        raise ConfigError(f"--token-file {path} holds no token of one long word", hint=hint)
    return text
