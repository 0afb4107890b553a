"""What the doctor says: one finding a line, with numbers, and with what to do where something is wrong."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it goes on, but not as it should
    PROBLEM = "problem"  # something does not work


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was examined."""

    part: str
    state: Level
    detail: str
    remedy: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self) | {"state": self.state.value}


def ok(part: str, detail: str) -> Finding:
    """Nothing is wrong there."""
    return Finding(part=part, state=Level.OK, detail=detail)


def warning(part: str, detail: str, remedy: str | None) -> Finding:
    """Somebody should look after it."""
    return Finding(part=part, state=Level.WARNING, detail=detail, remedy=remedy)


def problem(part: str, detail: str, remedy: str | None) -> Finding:
    """Something does not work."""
    return Finding(part=part, state=Level.PROBLEM, detail=detail, remedy=remedy)
