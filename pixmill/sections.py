"""The sections of the settings file: which settings there are, and what each may be."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from pixmill.names import suggestion
from pixmill.notifications import DEFAULT_EVENTS, KINDS, check_url
from pixmill.quantities import parse_count
from pixmill.retention import Policy, check_kept, check_span

_BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_=][A-Za-z0-9._=-]*)*")
_ADDRESS = re.compile(r"(?:([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?:)?([0-9]{1,5})")
_LAST_PORT = 65_535
_ENDPOINT_URL = re.compile(r"https?://[^/@?#\s]+")


def _bucket_url(url: str) -> str:
    if not _BUCKET_URL.fullmatch(url.rstrip("/")):
        raise ValueError("write it like s3://BUCKET/PREFIX")
    return url.rstrip("/")


def _endpoint_url(url: str) -> str:
    if not _ENDPOINT_URL.fullmatch(url.rstrip("/")):
        raise ValueError("write it like https://HOST:PORT; credentials come from AWS_* variables or ~/.aws")
    return url.rstrip("/")


def _listen_address(text: str) -> str:
    """HOST:PORT; a port alone is one of this machine.

    >>> _listen_address("9108"), _listen_address("[::]:9108")
    ('127.0.0.1:9108', '[::]:9108')
    """
    host, port = (found[1] or "127.0.0.1", found[2]) if (found := _ADDRESS.fullmatch(text.strip())) else ("", "0")
    if not host or int(port) > _LAST_PORT:
        raise ValueError("write it like 127.0.0.1:9108, or 0.0.0.0:9108 for other machines")
    return f"{host}:{port}"


def _bytes(value: object) -> object:
    return parse_count(value) if isinstance(value, str) else value


RoleName = Annotated[str, Field(min_length=1, max_length=63)]  # of PostgreSQL
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BucketUrl = Annotated[str, AfterValidator(_bucket_url)]
EndpointUrl = Annotated[str, AfterValidator(_endpoint_url)]
ListenAddress = Annotated[str, AfterValidator(_listen_address)]
SpanText = Annotated[str, AfterValidator(check_span)]  # "30d"
Kept = Annotated[int, AfterValidator(check_kept)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=1)]


class Section(BaseModel):
    """One table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    """Where the truth is kept."""

    url: SecretStr | None = None  # SQLAlchemy URL; default: SQLite in the home
    busy_timeout_seconds: Seconds = 15.0  # how long a writer waits for another's lock
    connect_timeout_seconds: Seconds = 1.0  # until PostgreSQL first answers a command; those that stay wait for 2
    app_role: RoleName | None = None  # whom `db upgrade` lets work on the rows; default: the tables' owner alone


class BrokerSettings(Section):
    """The Redis that carries wake-ups; losing what it holds loses nothing."""

    url: SecretStr | None = None  # redis://, rediss:// or redis+socket://; default: the embedded server
    timeout_seconds: Seconds = 1.0  # connect and read, for commands that a person waits for
    ca_file: Path | None = (
        None  # certificates of authorities that may vouch for a rediss:// server; default: the host's
    )
    cert_file: Path | None = None  # what this host shows to a server that asks for a certificate
    key_file: Path | None = None  # its key, where that is in a file of its own


class StorageSettings(Section):
    """Where checkpoints, images and reports are kept."""

    root: Path | None = None  # default: the home
    outputs: BucketUrl | None = None  # s3://BUCKET/PREFIX for finished data sets; default: below the root
    endpoint: EndpointUrl | None = None  # of the S3 server; default: Amazon's


class SchedulerSettings(Section):
    """The loop that decides what runs when."""

    tick_seconds: Seconds = 1.0  # the longest pause between two looks at the database
    redispatch_seconds: Seconds = 13.0  # a wake-up that nobody claimed is sent again; with a tick, within 15 seconds
    lease_seconds: Seconds = 30.0  # a worker silent for this long has lost its task
    max_lost_leases: Annotated[int, Field(ge=1)] = 3  # a task that takes down this many workers is poison
    canary_seconds: Seconds = 60.0  # between two messages that show that an idle worker still hears
    metrics: ListenAddress | None = None  # HOST:PORT where Prometheus finds metrics; a PORT alone is of this machine


class WorkerSettings(Section):
    """One worker, pinned to one device."""

    heartbeat_seconds: Seconds = 1.0
    idle_heartbeat_seconds: Seconds = 5.0
    progress_deadline_seconds: Seconds = 600.0  # a device process silent for this long hangs, and is killed
    stop_grace_seconds: Seconds = 60.0  # time to reach a checkpoint after a stop or cancel
    checkpoint_seconds: Seconds = 30.0  # between two checkpoints of a train job
    threads: Annotated[int, Field(ge=1)] | None = None  # torch threads; default: every core this worker may use
    # Processes that write the shards of generate jobs; default: on a GPU one for each core but one, 16 at most; on a
    # CPU none, but processes that make images on all cores, which there are only without these.
    encoders: Annotated[int, Field(ge=0, le=256)] | None = None


class NotifySettings(Section):
    """The webhook by which operators are told; the same for every scheduler."""

    allow_http: bool = False  # to other machines
    allow_private: bool = False  # to this machine, and to addresses of a private network
    url: SecretStr | None = None  # default: nobody is told; whoever knows it may write there
    secret_file: Path | None = None  # holds what requests are signed with
    events: tuple[str, ...] = DEFAULT_EVENTS
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0  # of one try, as a whole
    max_tries: Annotated[int, Field(ge=1)] = 12
    retry_seconds: Seconds = 30.0  # before the second try; doubles
    give_up_seconds: Seconds = 86_400.0  # after which nothing is tried any more
    keep_days: Seconds = 14.0  # rows of what was sent, or given up

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if url is not None:
            allowed = {name: bool(info.data.get(name)) for name in ("allow_http", "allow_private")}
            check_url(url.get_secret_value(), **allowed)
        return url

    @field_validator("events")
    @classmethod
    def _are_kinds(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        for name in events:
            if name not in KINDS:
                raise ValueError(f"there is no event {name!r}; {suggestion(name, KINDS)}")
        return events


class RetentionSettings(Section):
    """What `gc` leaves of versions and training states that nothing needs; without any rule it leaves all of them."""

    last: Kept | None = None  # the newest versions of each model
    best: Kept | None = None  # the best versions of each model, by its own metric
    champions: SpanText | None = None  # versions that were champion within this time
    checkpoints: SpanText | None = None  # training states of jobs that ended within this time
    quota: Bytes | None = None  # below runs/ of the storage root, such as "500G"; beyond it, `status` warns

    @property
    def policy(self) -> Policy:
        """The rules."""
        return Policy(last=self.last, best=self.best, champions=self.champions, checkpoints=self.checkpoints)


class LogSettings(Section):
    """What processes log, and how much is kept of what jobs log."""

    format: Literal["auto", "text", "json"] = "auto"  # of lines to stderr; auto: json where that is no terminal
    level: Literal["debug", "info", "warning", "error"] = "info"
    job_bytes: Bytes = 64_000_000  # that one attempt may keep in its folder: the beginning, and what came last
    shared_bytes: Annotated[int, BeforeValidator(_bytes), Field(ge=0)] = 65_536  # that its end takes in PostgreSQL
    keep_days: Seconds = 14.0  # for which that stays there
