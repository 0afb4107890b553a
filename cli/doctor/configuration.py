"""Settings: where they come from, whether secrets in them are safe, and whether times fit each other."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cli.doctor.findings import Finding, ok, warning

if TYPE_CHECKING:
    from pixmill.settings import Settings

PART = "settings"
LEAST_BEATS = 3  # heartbeats in a lease: one that comes late, or is lost, must not cost a task


def examine_settings(settings: "Settings", config: Path | None, flags: Mapping[str, Any]) -> Iterator[Finding]:
    """Where the settings come from, and what is unwise about them."""
    from pixmill.settings import setting_origins
    from pixmill.sources import config_files

    files = config_files(config)
    origins = setting_origins(settings, config=config, flags=flags)
    changed = sum(origin.source != "default" for origin in origins)
    where = ", ".join(map(str, files)) or "no file"
    yield ok(PART, f"{where}; {changed} of {len(origins)} differ from the defaults; home {settings.home}")
    for path in files:
        secrets = [
            origin.key for origin in origins if origin.source == str(path) and _has_password(settings, origin.key)
        ]
        if secrets and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            detail = f"{path} holds the password of {' and '.join(secrets)}, and other accounts may read it"
            yield warning(PART, detail, f"chmod 600 {path}")
    yield from _examine_times(settings)


def _has_password(settings: "Settings", key: str) -> bool:
    secret = {"database.url": settings.database.url, "broker.url": settings.broker.url}.get(key)
    return secret is not None and bool(urlsplit(secret.get_secret_value()).password)


def _examine_times(settings: "Settings") -> Iterator[Finding]:
    beat = max(settings.worker.heartbeat_seconds, settings.worker.idle_heartbeat_seconds)
    lease = settings.scheduler.lease_seconds
    if lease < LEAST_BEATS * beat:
        detail = f"a lease lasts {lease:g} s and workers beat every {beat:g} s: one late beat costs a task"
        yield warning(PART, detail, f"scheduler.lease_seconds = {LEAST_BEATS * beat:g}, or more, in the settings")
