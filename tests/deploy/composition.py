"""docker-compose.yml as the tests look at it: with its defaults filled in, as `docker compose` fills them in."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def variables() -> dict[str, str]:
    """What may be set in `.env`, and its default."""
    return dict(_VARIABLE.findall(COMPOSE.read_text(encoding="utf-8")))


@cache
def composition() -> Mapping[str, Any]:
    """The whole file; merge keys are resolved, and nothing is set in the environment."""
    found: Mapping[str, Any] = _filled(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")))
    return found


def services() -> Mapping[str, Mapping[str, Any]]:
    """Its services by name."""
    found: Mapping[str, Mapping[str, Any]] = composition()["services"]
    return found


def ours() -> Mapping[str, Mapping[str, Any]]:
    """The services that run pixmill."""
    return {name: service for name, service in services().items() if "build" in service}


def seconds(span: str) -> float:
    """A span of time such as "1m30s" or "90s"."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", span))


def _filled(value: Any) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: found[2], value)
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    return value
