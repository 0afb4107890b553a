"""Settings: what is configured, from where, and which source wins.

Precedence, strongest first: command-line flags, `PIXMILL_*` variables, `PIXMILL_*_FILE` variables (secrets as files),
the project's `pixmill.toml`, the user's and the system's `config.toml`, defaults.

A section's key is one variable: `broker.url` is `PIXMILL_BROKER_URL`, or `PIXMILL_BROKER_URL_FILE` naming a file that
holds the value.
"""

import hashlib
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, get_args
from urllib.parse import quote

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pixmill.errors import ConfigError
from pixmill.homes import expanded
from pixmill.names import suggestion
from pixmill.notifications import DEFAULT_EVENTS, KINDS, check_url
from pixmill.quantities import parse_count
from pixmill.retention import Policy, check_kept, check_span

PROJECT_FILE = "pixmill.toml"
# Settings of sections that are paths.
_PATHS = (
    ("broker", "ca_file"),
    ("broker", "cert_file"),
    ("broker", "key_file"),
    ("notify", "secret_file"),
    ("storage", "root"),
)
SOCKET_PATH_BYTES = 107  # the kernel's limit for a Unix socket's path, without its closing zero

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


def _default_home() -> Path:
    try:
        return Path(platformdirs.user_data_dir("pixmill"))
    except RuntimeError as error:  # of a user without a name, as containers have them, where HOME is not set either
        raise ConfigError("there is no folder to work in: this user has no home", hint="set PIXMILL_HOME") from error


def _user_file() -> Path | None:
    try:
        return Path(platformdirs.user_config_dir("pixmill")) / "config.toml"
    except RuntimeError:  # as above: nobody has written one
        return None


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


class _Variables(EnvSettingsSource):
    """`PIXMILL_BROKER_URL=redis://…`: all variables but those that name a file."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = {name: value for name, value in self.env_vars.items() if not _names_file(name)}


class _FileVariables(EnvSettingsSource):
    """`PIXMILL_BROKER_URL_FILE=/run/secrets/broker_url`: the value is the file's text without the last newline."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = dict(_read_file_variables())


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="PIXMILL_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,  # `PIXMILL_BROKER_URL=` in a compose file means "not set"
        extra="forbid",
        frozen=True,
    )
    config_files: ClassVar[tuple[Path, ...]] = ()

    home: Path = Field(default_factory=_default_home)
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    storage: StorageSettings = StorageSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    worker: WorkerSettings = WorkerSettings()
    notify: NotifySettings = NotifySettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed by pydantic-settings
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of the module's docstring."""
        tomls = (_TomlFile(settings_cls, path) for path in cls.config_files)
        return (init_settings, _Variables(settings_cls), _FileVariables(settings_cls), *tomls)

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL, with its password."""
        if self.database.url:
            return self.database.url.get_secret_value()
        return f"sqlite:///{quote(str(self.home / 'pixmill.db'))}"

    @property
    def storage_root(self) -> Path:
        """The folder that every file path in the database is relative to."""
        return self.storage.root or self.home

    @property
    def broker_url(self) -> str:
        """Celery broker URL, with its password; the embedded server's socket if none is configured."""
        if self.broker.url:
            return self.broker.url.get_secret_value()
        return f"redis+socket://{quote(str(self.broker_socket))}?virtual_host=0"

    @property
    def broker_is_embedded(self) -> bool:
        """Whether `pixmill up` brings the Redis server itself."""
        return self.broker.url is None

    @property
    def run_folder(self) -> Path:
        """Lock files, pid files and sockets of the processes that serve this home."""
        return self.home / "run"

    @property
    def log_folder(self) -> Path:
        """Logs of the scheduler, the workers and the embedded server."""
        return self.home / "logs"

    @property
    def broker_socket(self) -> Path:
        """The embedded server's socket; outside the home where the home's path is too long for a socket."""
        socket = self.run_folder / "redis.sock"
        if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES:
            return socket
        tag = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"pixmill-{os.getuid()}-{tag}" / "redis.sock"


class _TomlFile(TomlConfigSettingsSource):
    """One settings file; relative paths in it are relative to the file, not to the caller's folder."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        self.path = path
        try:
            super().__init__(settings_cls, toml_file=path)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}", hint="correct or remove that file") from error

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        base = self.path.absolute().parent
        if isinstance(values.get("home"), str):
            values["home"] = base / expanded(Path(values["home"]))
        for section, key in _PATHS:
            table = values.get(section)
            if isinstance(table, dict) and isinstance(table.get(key), str):
                table[key] = base / expanded(Path(table[key]))
        return values


@dataclass(frozen=True)
class SettingOrigin:
    """One setting, its value with secrets masked, and the source that set it."""

    key: str
    value: str
    source: str


def load_settings(*, config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from all sources; `flags` are dotted keys given on the command line.

    Raises ConfigError for a file that cannot be read, an unknown key or a value out of range.
    """
    files = config_files(config)
    _refuse_unknown_variables()
    bound = type("Settings", (Settings,), {"config_files": tuple(files)})
    try:
        settings: Settings = bound(**_nest(flags or {}))
    except ValidationError as error:
        _raise_config_error(error)
    return _with_absolute_paths(settings)


def _with_absolute_paths(settings: Settings) -> Settings:
    # A worker must not look elsewhere than the command that was typed in another folder.
    changes: dict[str, Any] = {"home": expanded(settings.home).absolute()}
    for name, key in _PATHS:
        section = changes.get(name, getattr(settings, name))
        if (path := getattr(section, key)) is not None:
            changes[name] = section.model_copy(update={key: expanded(path).absolute()})
    return settings.model_copy(update=changes)


def config_files(config: Path | None = None) -> list[Path]:
    """Settings files that exist, strongest first; an explicit `config` (or $PIXMILL_CONFIG) replaces the project's."""
    chosen = config or (Path(os.environ["PIXMILL_CONFIG"]) if os.environ.get("PIXMILL_CONFIG") else None)
    if chosen and not chosen.is_file():
        raise ConfigError(f"settings file {chosen} does not exist", hint="check --config and PIXMILL_CONFIG")
    project = chosen or _find_project_file(Path.cwd())
    system = Path("/etc/pixmill/config.toml")
    return [path for path in (project, _user_file(), system) if path and path.is_file()]


def setting_origins(settings: Settings, flags: Mapping[str, Any] | None = None) -> list[SettingOrigin]:
    """Every setting with the source that decided it, in the order of declaration."""
    winners: dict[str, str] = {}
    for label, values in _labelled_sources(settings, flags or {}):
        for key in _flatten(values):
            winners.setdefault(key, label)
    shown = _flatten(settings.model_dump(mode="json"))
    return [SettingOrigin(key, _display(value), winners.get(key, "default")) for key, value in shown.items()]


def _labelled_sources(settings: Settings, flags: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    cls = type(settings)
    yield "flag", _nest(flags)
    yield "environment", _Variables(cls)()
    yield "secret file", _FileVariables(cls)()
    for path in cls.config_files:
        yield str(path), _TomlFile(cls, path)()


def _find_project_file(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None


def _known_settings() -> dict[str, bool]:
    """Dotted key → whether its value is a secret."""
    known: dict[str, bool] = {}
    for key, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            fields = section.model_fields.items()
            known |= {f"{key}.{name}": SecretStr in get_args(inner.annotation) for name, inner in fields}
        else:
            known[key] = False
    return known


def _names_file(variable: str) -> bool:
    """Whether its value is a file that holds a setting, rather than the setting."""
    return variable.upper().endswith("_FILE") and variable.upper() not in _known_variables()


def _known_variables() -> set[str]:
    return {f"PIXMILL_{key.replace('.', '_')}".upper() for key in _known_settings()}


def _refuse_unknown_variables() -> None:
    values = _known_variables()
    known = values | {f"{name}_FILE" for name in values} | {"PIXMILL_CONFIG", "PIXMILL_DEBUG"}
    for name in os.environ:
        # PIXMILL_TEST_… and PIXMILL_DEMO_… steer the test suite and the Makefile, not the product.
        if not name.startswith("PIXMILL_") or name.startswith(("PIXMILL_TEST_", "PIXMILL_DEMO_")):
            continue
        if name not in known:
            raise ConfigError(f"unknown environment variable {name}", hint=suggestion(name, known))


def _read_file_variables() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        if name.startswith("PIXMILL_") and _names_file(name) and value:
            try:
                text = Path(value).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name} names {value}, which cannot be read: {error}") from error
            yield name.removesuffix("_FILE").lower(), text.removesuffix("\n")


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for dotted, value in flat.items():
        section, _, key = dotted.partition(".")
        if key:
            nested.setdefault(section, {})[key] = value
        else:
            nested[section] = value
    return nested


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _display(value: object) -> str:
    return "" if value is None else str(value)


def _raise_config_error(error: ValidationError) -> NoReturn:
    problem = error.errors()[0]
    dotted = ".".join(str(part) for part in problem["loc"])
    known = _known_settings()
    if problem["type"] == "extra_forbidden":
        raise ConfigError(f"unknown setting '{dotted}'", hint=suggestion(dotted, known)) from None
    # What stands where a section or a secret belongs may hold a password: it is not repeated.
    found = problem["input"]
    is_plain = known.get(dotted) is False and "@" not in str(found)
    shown = repr(found) if is_plain else f"a value of type {type(found).__name__}"
    message = problem["msg"].removeprefix("Value error, ")
    raise ConfigError(f"setting '{dotted}': {message} (found {shown})") from None
