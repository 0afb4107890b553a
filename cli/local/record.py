"""What runs for a home: `run/up.json`, written by its supervisor and read by `up`, `down` and `status`."""

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from cli.local.processes import ProcessMark
from pixmill.settings import Settings
from storage.atomic import write_json
from storage.faults import named_faults

FORMAT = 1
Role = Literal["server", "scheduler", "worker"]


@dataclass(frozen=True, kw_only=True)
class ChildRecord:
    """One process that the supervisor keeps alive."""

    name: str  # "server", "scheduler", "worker-cpu"
    role: Role
    log: str
    mark: ProcessMark | None  # None while it waits for its next start
    exits: int  # since the supervisor started
    last_exit: str | None  # "ended with code 1", "was ended by SIGKILL"

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`."""
        mark = values["mark"]
        return cls(**{**values, "mark": ProcessMark(**mark) if mark else None})


@dataclass(frozen=True, kw_only=True)
class UpRecord:
    """One supervisor and its children."""

    supervisor: ProcessMark
    host: str
    version: str
    started_at: str  # RFC 3339
    devices: tuple[str, ...]
    children: tuple[ChildRecord, ...]
    format: int = FORMAT

    @property
    def is_of_this_host(self) -> bool:
        """Whether the pids mean anything here; a home may lie on a shared file system."""
        return self.host == socket.gethostname()

    def child(self, name: str) -> ChildRecord | None:
        """The child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def living_children(self) -> list[ChildRecord]:
        """Children that run at this moment."""
        return [child for child in self.children if child.mark is not None and child.mark.is_alive()]

    def write(self, path: Path) -> None:
        """Write the file so that a reader sees this record or the one before."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What is written there; None when nothing is, or when another version wrote it."""
        with named_faults(path, "read"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        values = json.loads(content)
        if values.get("format") != FORMAT:
            return None
        children = tuple(ChildRecord.from_json(child) for child in values["children"])
        supervisor = ProcessMark(**values["supervisor"])
        return cls(**{**values, "supervisor": supervisor, "devices": tuple(values["devices"]), "children": children})


def record_path(settings: Settings) -> Path:
    """Where the record of this home lies."""
    return settings.run_folder / "up.json"


def lock_path(settings: Settings) -> Path:
    """The lock that the supervisor of this home holds while it lives."""
    return settings.run_folder / "up.lock"
