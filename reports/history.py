"""How a job fared: who tried it, what happened to it, how far it is, and what was written last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class AttemptLine:
    """One try of the job (or of one of its tasks) on a device."""

    number: int
    state: str
    task: int | None = None  # None: the job has but one
    worker: str = ""
    device: str = ""
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class EventLine:
    """One entry of the job's history: when, who, what and why."""

    at: datetime
    what: str
    who: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class ProgressLine:
    """How far a job is that runs: images done of all, and how long the rest will take."""

    done: int
    total: int
    phase: str = ""
    eta_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class LogTail:
    """The last lines that an attempt has written."""

    title: str
    lines: Sequence[str]
