"""Settings: what is configured, from where, and which source wins.

Precedence, strongest first: command-line flags, `PIXMILL_*` variables, `PIXMILL_*_FILE` variables (secrets as files),
the project's `pixmill.toml`, the user's and the system's `config.toml`, defaults.

A section's key is one variable: `broker.url` is `PIXMILL_BROKER_URL`, or `PIXMILL_BROKER_URL_FILE` naming a file that
holds the value.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pixmill.errors import ConfigError
from pixmill.names import suggestion

PROJECT_FILE = "pixmill.toml"
SOCKET_PATH_BYTES = 107  # the kernel's limit for a Unix socket's path, without its closing zero

Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """One table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    """Where the truth is kept."""

    url: SecretStr | None = None  # SQLAlchemy URL; default: SQLite in the home
    busy_timeout_seconds: Seconds = 15.0  # SQLite: how long a writer waits for another
    connect_timeout_seconds: Seconds = 2.0  # PostgreSQL


class BrokerSettings(Section):
    """The Redis that carries wake-ups; losing what it holds loses nothing."""

    url: SecretStr | None = None  # redis://, rediss:// or redis+socket://; default: the embedded server
    timeout_seconds: Seconds = 1.0  # connect and read, for commands that a person waits for


class StorageSettings(Section):
    """Where checkpoints, images and reports are kept."""

    root: Path | None = None  # default: the home


class SchedulerSettings(Section):
    """The loop that decides what runs when."""

    tick_seconds: Seconds = 1.0  # the longest pause between two looks at the database
    redispatch_seconds: Seconds = 15.0  # a wake-up that nobody claimed is sent again after this
    lease_seconds: Seconds = 30.0  # a worker silent for this long has lost its task
    max_lost_leases: Annotated[int, Field(ge=1)] = 3  # a task that takes down this many workers is poison


class WorkerSettings(Section):
    """One worker, pinned to one device."""

    heartbeat_seconds: Seconds = 1.0
    idle_heartbeat_seconds: Seconds = 5.0
    progress_deadline_seconds: Seconds = 600.0  # a device process silent for this long hangs, and is killed
    stop_grace_seconds: Seconds = 60.0  # time to reach a checkpoint after a stop or cancel
    checkpoint_seconds: Seconds = 30.0  # between two checkpoints of a train job
    threads: Annotated[int, Field(ge=1)] | None = None  # torch threads; default: every core this worker may use


class _FileVariables(EnvSettingsSource):
    """`PIXMILL_BROKER_URL_FILE=/run/secrets/broker_url`: the value is the file's text without the last newline."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = dict(_read_file_variables())


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="PIXMILL_", env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True
    )
    config_files: ClassVar[tuple[Path, ...]] = ()

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("pixmill")))
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    storage: StorageSettings = StorageSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    worker: WorkerSettings = WorkerSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed by pydantic-settings
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of the module's docstring."""
        tomls = (_TomlFile(settings_cls, path) for path in cls.config_files)
        return (init_settings, env_settings, _FileVariables(settings_cls), *tomls)

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL, with its password."""
        if self.database.url:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.home / 'pixmill.db'}"

    @property
    def storage_root(self) -> Path:
        """The folder that every file path in the database is relative to."""
        return self.storage.root or self.home

    @property
    def broker_url(self) -> str:
        """Celery broker URL, with its password; the embedded server's socket if none is configured."""
        if self.broker.url:
            return self.broker.url.get_secret_value()
        return f"redis+socket://{self.broker_socket}?virtual_host=0"

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
        super().__init__(settings_cls, toml_file=path)

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        base = self.path.absolute().parent
        if isinstance(values.get("home"), str):
            values["home"] = base / Path(values["home"]).expanduser()
        storage = values.get("storage")
        if isinstance(storage, dict) and isinstance(storage.get("root"), str):
            storage["root"] = base / Path(storage["root"]).expanduser()
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
    except (OSError, ValueError) as error:  # tomllib.TOMLDecodeError is a ValueError
        raise ConfigError(f"cannot read the settings: {error}", hint="correct or remove that file") from error
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})


def config_files(config: Path | None = None) -> list[Path]:
    """Settings files that exist, strongest first; an explicit `config` (or $PIXMILL_CONFIG) replaces the project's."""
    chosen = config or (Path(os.environ["PIXMILL_CONFIG"]) if os.environ.get("PIXMILL_CONFIG") else None)
    if chosen and not chosen.is_file():
        raise ConfigError(f"settings file {chosen} does not exist", hint="check --config and PIXMILL_CONFIG")
    project = chosen or _find_project_file(Path.cwd())
    user = Path(platformdirs.user_config_dir("pixmill")) / "config.toml"
    system = Path("/etc/pixmill/config.toml")
    return [path for path in (project, user, system) if path and path.is_file()]


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
    yield "environment", EnvSettingsSource(cls)()
    yield "secret file", _FileVariables(cls)()
    for path in cls.config_files:
        yield str(path), _TomlFile(cls, path)()


def _find_project_file(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None


def _known_variables() -> set[str]:
    names = {"PIXMILL_CONFIG", "PIXMILL_DEBUG"}
    for key, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            names |= {f"PIXMILL_{key}_{inner}".upper() for inner in section.model_fields}
        else:
            names.add(f"PIXMILL_{key}".upper())
    return names


def _refuse_unknown_variables() -> None:
    known = _known_variables()
    for name in os.environ:
        # PIXMILL_TEST_… and PIXMILL_DEMO_… steer the test suite and the Makefile, not the product.
        if not name.startswith("PIXMILL_") or name.startswith(("PIXMILL_TEST_", "PIXMILL_DEMO_")):
            continue
        if name.removesuffix("_FILE") not in known:
            raise ConfigError(f"unknown environment variable {name}", hint=suggestion(name, known))


def _read_file_variables() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        if name.startswith("PIXMILL_") and name.endswith("_FILE"):
            try:
                text = Path(value).read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"{name} names {value}, which cannot be read: {error.strerror}") from error
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
    if problem["type"] == "extra_forbidden":
        known = _flatten(Settings.model_construct(**_defaults()).model_dump(mode="json"))
        raise ConfigError(f"unknown setting '{dotted}'", hint=suggestion(dotted, known)) from None
    found = problem.get("input")
    raise ConfigError(f"setting '{dotted}': {problem['msg']} (found {found!r})") from None


def _defaults() -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in Settings.model_fields.items()
    }
