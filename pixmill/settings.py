"""Settings: what is configured, and where that came from.  pixmill.sources says which source wins."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin
from urllib.parse import quote

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pixmill.errors import ConfigError
from pixmill.homes import expanded
from pixmill.names import suggestion
from pixmill.sections import (
    BrokerSettings,
    DatabaseSettings,
    LogSettings,
    NotifySettings,
    RetentionSettings,
    SchedulerSettings,
    Section,
    StorageSettings,
    WorkerSettings,
)
from pixmill.sources import Known, Source, flat, merged, nested, read_sources

SOCKET_PATH_BYTES = 107  # the kernel's limit for a Unix socket's path, without its closing zero


def _default_home() -> Path:
    try:
        return Path(platformdirs.user_data_dir("pixmill"))
    except RuntimeError as error:  # of a user without a name, as containers have them, where HOME is not set either
        raise ConfigError("there is no folder to work in: this user has no home", hint="set PIXMILL_HOME") from error


class Settings(BaseModel):
    """All settings of one process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(default_factory=_default_home)
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    storage: StorageSettings = StorageSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    worker: WorkerSettings = WorkerSettings()
    notify: NotifySettings = NotifySettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()

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


def _known_settings() -> dict[str, Known]:
    """All settings by their dotted keys."""
    known: dict[str, Known] = {}
    for key, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            for name, inner in section.model_fields.items():
                known[f"{key}.{name}"] = _known(inner.annotation)
        else:
            known[key] = _known(section)
    return known


def _known(annotation: Any) -> Known:
    kinds = get_args(annotation) or (annotation,)
    return Known(is_secret=SecretStr in kinds, is_path=Path in kinds, is_list=get_origin(annotation) is tuple)


KNOWN: Mapping[str, Known] = _known_settings()


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
    sources = [Source("flag", nested(flags or {})), *read_sources(KNOWN, config)]
    try:
        settings = Settings.model_validate(merged(sources))
    except ValidationError as error:
        _raise_config_error(error)
    return _with_absolute_paths(settings)


def _with_absolute_paths(settings: Settings) -> Settings:
    # A worker must not look elsewhere than the command that was typed in another folder.
    changes: dict[str, Any] = {}
    for dotted in (key for key, known in KNOWN.items() if known.is_path):
        section, _, key = dotted.partition(".")
        found = changes.get(section, getattr(settings, section))
        if not key:
            changes[section] = expanded(found).absolute()
        elif (path := getattr(found, key)) is not None:
            changes[section] = found.model_copy(update={key: expanded(path).absolute()})
    return settings.model_copy(update=changes)


def setting_origins(
    settings: Settings, *, config: Path | None = None, flags: Mapping[str, Any] | None = None
) -> list[SettingOrigin]:
    """Every setting with the source that decided it, in the order of declaration."""
    winners: dict[str, str] = {}
    for source in (Source("flag", nested(flags or {})), *read_sources(KNOWN, config)):
        for key in flat(source.values):
            winners.setdefault(key, source.label)
    shown = flat(settings.model_dump(mode="json"))
    return [SettingOrigin(key, _display(value), winners.get(key, "default")) for key, value in shown.items()]


def _display(value: object) -> str:
    return "" if value is None else str(value)


def _raise_config_error(error: ValidationError) -> NoReturn:
    problem = error.errors()[0]
    dotted = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        raise ConfigError(f"unknown setting '{dotted}'", hint=suggestion(dotted, KNOWN)) from None
    # What stands where a section or a secret belongs may hold a password: it is not repeated.
    found = problem["input"]
    is_plain = dotted in KNOWN and not KNOWN[dotted].is_secret and "@" not in str(found)
    shown = repr(found) if is_plain else f"a value of type {type(found).__name__}"
    message = problem["msg"].removeprefix("Value error, ")
    raise ConfigError(f"setting '{dotted}': {message} (found {shown})") from None
