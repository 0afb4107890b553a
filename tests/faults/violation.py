"""A broken promise, by the name of the invariant that it breaks."""

from dataclasses import dataclass
from enum import StrEnum


class Invariant(StrEnum):
    """What must hold whatever was killed, stopped or taken away."""

    ENDS = "I1"
    """Every submitted job is there once, and ended or can still run."""
    ONCE = "I2"
    """Nothing is published twice, and nothing of a job that did not succeed."""
    FILES = "I3"
    """Rows and files agree, and no file is torn."""
    FENCE = "I4"
    """Nobody writes under a lease that has passed on."""
    PROCESSES = "I5"
    """No process and no lock outlives its owner."""
    RESUME = "I6"
    """Nothing that was published is computed again."""
    COUNTERS = "I7"
    """The counters are what the history says."""
    RESCUE = "I8"
    """No lease is taken from a worker that was left alone."""
    BYTES = "bytes"
    """What was disturbed ends with the same bytes as what was not."""


@dataclass(frozen=True)
class Violation:
    """One broken promise, in a sentence."""

    invariant: Invariant
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"
