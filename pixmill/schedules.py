"""Schedules: what is submitted again and again, and what may become of each of its times."""

from enum import StrEnum


class Overlap(StrEnum):
    """What becomes of a run while jobs of earlier ones have not ended."""

    SKIP = "skip"
    QUEUE = "queue"  # it waits for their end, however they end
    CANCEL_PREVIOUS = "cancel-previous"


class Catchup(StrEnum):
    """Which runs are made up for when no scheduler was there at their time."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class RunOutcome(StrEnum):
    """What became of one time of a schedule."""

    SUBMITTED = "submitted"
    SKIPPED = "skipped"  # as the schedule's terms say
    REFUSED = "refused"  # it could not be submitted


class SkipReason(StrEnum):
    """Why a run was skipped."""

    PAUSED = "Paused"
    OVERLAP = "Overlap"
    BLACKOUT = "Blackout"
    TOO_LATE = "TooLate"
    SUPERSEDED = "Superseded"  # a later one was due as well
