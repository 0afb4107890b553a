"""Notifications: what operators are told of by webhook, and how each reads in a line.

A new kind is one line of KINDS, and one call of `db.telling.tell` where it happens.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from pixmill.addresses import is_never_allowed, why_not

VERSION: Literal[1] = 1  # of the body; fields are only ever added to one

_PLAIN_URL = re.compile(r"[!-~]+")  # nothing that could end a line of a request


class NotificationState(StrEnum):
    """Where a notification stands."""

    WAITING = "waiting"  # to be sent, or sent again
    SENT = "sent"
    FAILED = "failed"  # given up
    SKIPPED = "skipped"  # nobody asked for its kind, or for any at its time


class Body(BaseModel):
    """What a webhook gets: JSON, the same at each try. Fields may be added to it; those here stay."""

    model_config = ConfigDict(frozen=True, title="pixmill notification")

    version: Literal[1]
    id: Annotated[str, Field(description="the same at each try; also in the header webhook-id")]
    type: Annotated[str, Field(description="such as job.failed; there may be more of them one day")]
    timestamp: Annotated[str, Field(description="when it happened, in UTC", json_schema_extra={"format": "date-time"})]
    subject: Annotated[str, Field(description="whose it is, such as job 7")]
    count: Annotated[int, Field(ge=1, description="how many it stands for; data are those of the last")]
    text: Annotated[str, Field(description="all of it in one line, as chat programs show it")]
    data: Annotated[dict[str, Any], Field(description="the facts; which there are depends on the type")]


@dataclass(frozen=True)
class Kind:
    """One kind of notification."""

    line: str  # names facts in braces
    then: tuple[str, ...] = ()  # facts that follow after colons, where they are known
    by_default: bool = True  # whether it is sent unless `notify.events` says otherwise
    gather_seconds: float = 0.0  # wait so long for more about the same subject, and send one for all


KINDS: Mapping[str, Kind] = {
    "job.failed": Kind("job {job_id} ({name}) failed", ("reason", "message")),
    "job.never_ran": Kind("job {job_id} ({name}) never can run", ("message",), by_default=False),
    "schedule.missed": Kind(
        "schedule {schedule} missed its time {scheduled_for}", ("reason", "message"), gather_seconds=10.0
    ),
    "schedule.refused": Kind(
        "schedule {schedule} could not submit at {scheduled_for}", ("reason", "message"), gather_seconds=10.0
    ),
    "pipeline.ended": Kind("pipeline {name}: run {run_id} {state}", ("verdict", "message", "page")),
    "model.promote": Kind("{model}: {alias} is {to_version}, was {from_version}; by {actor}", ("reason",)),
    "model.rollback": Kind("{model}: {alias} is {to_version} again, was {from_version}; by {actor}", ("reason",)),
    "model.freeze": Kind("{model} is frozen by {actor}", ("reason",)),
    "model.unfreeze": Kind("{model} may be promoted again, by {actor}", ("reason",)),
    "worker.silent": Kind("worker {worker} went silent; it was seen last at {seen_at}"),
}
DEFAULT_EVENTS = tuple(name for name, kind in KINDS.items() if kind.by_default)


class _Known(dict[str, Any]):
    """Facts; what is not among them is a dash."""

    def __missing__(self, key: str) -> str:
        return "–"


def told(name: str, subject: str, facts: Mapping[str, Any], count: int = 1) -> str:
    """A notification as one line; also one of a kind that a newer pixmill has written.

    >>> told("job.failed", "job 7", {"job_id": 7, "name": "night", "reason": "OOM", "message": None})
    'job 7 (night) failed: OOM'
    >>> told("job.dreamt", "job 7", {}, 3)
    'job.dreamt: job 7 (3 times)'
    """
    unknown = f"{name}: {subject}".replace("{", "{{").replace("}", "}}")
    kind = KINDS.get(name, Kind(unknown))
    known = _Known({key: value for key, value in facts.items() if value is not None})
    parts = [kind.line.format_map(known), *(str(known[key]) for key in kind.then if key in known)]
    times = f" ({count} times)" if count > 1 else ""
    return " ".join(": ".join(parts).split()) + times


def check_url(text: str, *, allow_http: bool, allow_private: bool) -> None:
    """Raise ValueError unless requests may be sent there: by https, or by http to this machine.

    What a name stands for is looked at with each request; an address is looked at here too.

    >>> check_url("https://hooks.example.org/T0/B1", allow_http=False, allow_private=False)
    >>> check_url("http://127.0.0.1:8080/", allow_http=False, allow_private=True)
    >>> check_url("http://hooks.internal/", allow_http=False, allow_private=False)
    Traceback (most recent call last):
        ...
    ValueError: http is allowed to this machine alone; use https, or set notify.allow_http
    >>> check_url("https://10.0.0.7/", allow_http=False, allow_private=False)
    Traceback (most recent call last):
        ...
    ValueError: it is a private address; set notify.allow_private if requests shall go there
    """
    parts = urlsplit(text)
    if not _PLAIN_URL.fullmatch(text) or parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        raise ValueError("write it like https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user and a password in it are not sent; sign by notify.secret_file")
    _ = parts.port  # raises ValueError for what is no port
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        raise ValueError("http is allowed to this machine alone; use https, or set notify.allow_http")
    reason = _address_refused("127.0.0.1" if parts.hostname == "localhost" else parts.hostname, allow_private)
    if reason is not None:
        way_out = "" if is_never_allowed(reason) else "; set notify.allow_private if requests shall go there"
        raise ValueError(f"it is {reason}{way_out}")


def origin_of(url: str) -> str:
    """Scheme, host and port: what may be shown, since a path often is a secret.

    >>> origin_of("https://hooks.example.org/services/T0/B1/secret")
    'https://hooks.example.org'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _address_refused(host: str, allow_private: bool) -> str | None:
    """Why nothing is sent to an address; None too for a name, which may stand for anything by then."""
    try:
        return why_not(host, allow_private=allow_private)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
