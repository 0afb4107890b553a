"""Turns the refusals of an S3 server, and of the way to it, into errors that say what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixmill.errors import ConfigError, CorruptFile, NotFound, PermissionDenied, PixmillError, StoreUnreachable
from storage.faults import FULL, REFUSED, fault

CREDENTIALS_HINT = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or AWS_SHARED_CREDENTIALS_FILE"
NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"}
)
BAD_CREDENTIALS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})


@contextmanager
def store_faults(action: str, url: str, endpoint: str | None, local: Path | None = None) -> Iterator[None]:
    """Re-raise what S3 calls in the block raise as the pixmill error that names `url` and the remedy.

    Raises NotFound for a bucket and CorruptFile for an object that is not there, PermissionDenied for a refusal,
    ConfigError without credentials, and StoreUnreachable for all that may pass. A disk that is full or refuses is
    that of `local`.
    """
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        if local is not None and isinstance(error, OSError) and _code(error) is None and error.errno in FULL | REFUSED:
            raise fault(error, local) from error
        raise store_fault(error, action, url, endpoint) from error


def store_fault(error: Exception, action: str, url: str, endpoint: str | None) -> PixmillError:
    """The pixmill error that stands for `error` on `url`."""
    code, server = _code(error), _named(endpoint)
    failed = f"cannot {action} {url}: {_first_line(error)}"
    if type(error).__name__ in NO_CREDENTIALS:
        return ConfigError(f"there are no credentials for {url}: {_first_line(error)}", hint=f"set {CREDENTIALS_HINT}")
    if code == "NoSuchBucket":
        bucket = url.split("/")[2]
        return NotFound(f"there is no bucket {bucket!r} at {server}", hint="make it, or correct storage.outputs")
    if code == "RequestTimeTooSkewed":
        return PermissionDenied(failed, hint="set the clock of this host: S3 refuses requests 15 minutes old")
    if code in BAD_CREDENTIALS:
        return PermissionDenied(f"{server} refuses the credentials: {_first_line(error)}", hint=CREDENTIALS_HINT)
    if isinstance(error, PermissionError):
        return _forbidden(failed, url)
    if isinstance(error, FileNotFoundError):
        return CorruptFile(f"{url} is missing")
    return _unwilling(failed, server)


def refusal(answer: Mapping[str, Any], action: str, url: str, endpoint: str | None) -> PixmillError:
    """The pixmill error that stands for what an answer about many objects says of the one at `url`."""
    failed = f"cannot {action} {url}: {answer.get('Message') or answer.get('Code')}"
    return _forbidden(failed, url) if answer.get("Code") == "AccessDenied" else _unwilling(failed, _named(endpoint))


def _forbidden(failed: str, url: str) -> PermissionDenied:
    return PermissionDenied(failed, hint=f"allow this account to list, read, write and delete in {url}")


def _unwilling(failed: str, server: str) -> StoreUnreachable:
    return StoreUnreachable(failed, hint=f"look after {server}: pixmill doctor")


def _named(endpoint: str | None) -> str:
    return endpoint or "Amazon S3"


def _code(error: Exception) -> str | None:
    """The server's own word for what is wrong, if it has spoken."""
    answer: dict[str, Any] = getattr(error.__cause__, "response", None) or {}
    code = answer.get("Error", {}).get("Code")
    return None if code is None else str(code)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
