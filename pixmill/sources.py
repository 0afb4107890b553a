"""Where settings come from, and which source wins.

Precedence, strongest first: command-line flags, `PIXMILL_*` variables, `PIXMILL_*_FILE` variables (secrets as files),
the project's `pixmill.toml`, the user's and the system's `config.toml`, defaults.

A section's key is one variable: `broker.url` is `PIXMILL_BROKER_URL`, or `PIXMILL_BROKER_URL_FILE` naming a file that
holds the value.
"""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from pixmill.errors import ConfigError
from pixmill.homes import expanded
from pixmill.names import suggestion

PROJECT_FILE = "pixmill.toml"
SYSTEM_FILE = Path("/etc/pixmill/config.toml")

_PREFIX = "PIXMILL_"
_NO_SETTINGS = frozenset({"PIXMILL_CONFIG", "PIXMILL_DEBUG"})
# They steer the test suite and the Makefile, not the product.
_NOT_OURS = ("PIXMILL_TEST_", "PIXMILL_DEMO_")


@dataclass(frozen=True)
class Known:
    """What is to be known of a setting, wherever its value comes from."""

    is_secret: bool
    is_path: bool
    is_list: bool  # as a variable it is JSON


@dataclass(frozen=True)
class Source:
    """One source: section → key → value, as they stand there."""

    label: str
    values: Mapping[str, Any]


def read_sources(known: Mapping[str, Known], config: Path | None) -> list[Source]:
    """All sources but flags, strongest first.

    Raises ConfigError for a file that cannot be read, or a variable that names no setting.
    """
    variables = {f"{_PREFIX}{key.replace('.', '_')}".upper(): key for key in known}
    _refuse_unknown_variables(variables)
    files = [Source(str(path), _read_toml(path, known)) for path in config_files(config)]
    return [
        Source("environment", nested(dict(_from_variables(variables, known)))),
        Source("secret file", nested(dict(_from_named_files(variables, known)))),
        *files,
    ]


def merged(sources: Iterable[Source]) -> dict[str, Any]:
    """What counts: of each key, what the first source says that has it."""
    found: dict[str, Any] = {}
    for source in sources:
        for section, value in source.values.items():
            stronger = found.get(section)
            if isinstance(stronger, Mapping) and isinstance(value, Mapping):
                found[section] = {**value, **stronger}
            else:
                found.setdefault(section, value)
    return found


def config_files(config: Path | None = None) -> list[Path]:
    """Settings files that exist, strongest first; an explicit `config` (or $PIXMILL_CONFIG) replaces the project's."""
    chosen = config or (Path(os.environ["PIXMILL_CONFIG"]) if os.environ.get("PIXMILL_CONFIG") else None)
    if chosen and not chosen.is_file():
        raise ConfigError(f"settings file {chosen} does not exist", hint="check --config and PIXMILL_CONFIG")
    project = chosen or _find_project_file(Path.cwd())
    return [path for path in (project, _user_file(), SYSTEM_FILE) if path and path.is_file()]


def _find_project_file(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None


def _user_file() -> Path | None:
    try:
        return Path(platformdirs.user_config_dir("pixmill")) / "config.toml"
    except RuntimeError:  # of a user without a home, who has written none
        return None


def _read_toml(path: Path, known: Mapping[str, Known]) -> dict[str, Any]:
    """One settings file; relative paths in it are relative to the file, not to the caller's folder."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="correct or remove that file") from error
    base = path.absolute().parent
    for dotted in (key for key, setting in known.items() if setting.is_path):
        section, _, key = dotted.rpartition(".")
        table = values.get(section) if section else values
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = base / expanded(Path(table[key]))
    return values


def _refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    known = {*variables, *(f"{name}_FILE" for name in variables), *_NO_SETTINGS}
    for name in os.environ:
        if name.startswith(_PREFIX) and not name.startswith(_NOT_OURS) and name not in known:
            raise ConfigError(f"unknown environment variable {name}", hint=suggestion(name, known))


def _from_variables(variables: Mapping[str, str], known: Mapping[str, Known]) -> Iterator[tuple[str, Any]]:
    for name, key in variables.items():
        if value := os.environ.get(name):  # `PIXMILL_BROKER_URL=` in a compose file means "not set"
            yield key, _typed(name, value, known[key])


def _from_named_files(variables: Mapping[str, str], known: Mapping[str, Known]) -> Iterator[tuple[str, Any]]:
    """`PIXMILL_BROKER_URL_FILE=/run/secrets/broker_url`: the value is the file's text without the last newline."""
    for name, key in variables.items():
        path = os.environ.get(f"{name}_FILE") if f"{name}_FILE" not in variables else None
        if path:
            try:
                text = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}_FILE names {path}, which cannot be read: {error}") from error
            yield key, _typed(f"{name}_FILE", text.removesuffix("\n"), known[key])


def _typed(name: str, text: str, setting: Known) -> Any:
    if not setting.is_list:
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}, which is no list", hint='write it like ["a", "b"]') from None


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Section → key → value, of dotted keys."""
    found: dict[str, Any] = {}
    for dotted, value in values.items():
        section, _, key = dotted.partition(".")
        if key:
            found.setdefault(section, {})[key] = value
        else:
            found[section] = value
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key → value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
