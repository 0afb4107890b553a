"""What the page of a gate job shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed", "undecided", "not earned", "skipped"]


@dataclass(frozen=True, kw_only=True)
class GateLine:
    """One gate: its outcome, and the sentence that says why, with its numbers."""

    gate: str
    rule: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class GateSection:
    """What a gate job has to show; `against` is empty where there was no champion."""

    verdict: str
    model: str
    against: str = ""
    lines: Sequence[GateLine] = ()
    strips: Path | None = None  # of an older pixmill: the challenger's images, and below them the champion's
    sheets: Mapping[str, Path] = field(default_factory=dict)  # model → its images; of the same seed and numbers
    columns: Sequence[str] = ()  # what each column of the sheets shows; empty: no class of its own
    facts: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[str] = ()
