"""What the images of a job pass one after the other, and which of it a job is bound by."""

from collections.abc import Mapping
from enum import StrEnum


class Stage(StrEnum):
    """Where the seconds of whoever writes the images go: he waits, or does it himself."""

    DEVICE = "device"  # until images are made
    ENCODE = "encode"  # until files are made of them, and hashed
    DISK = "disk"  # until files are written, and durable
    NET = "net"  # until files have reached a storage elsewhere


def bound_by(seconds: Mapping[str, float]) -> Stage | None:
    """The stage for which was waited longest: more or better of it makes the job quicker; None: nothing is known.

    >>> bound_by({"device": 40.0, "encode": 12.0, "disk": 3.5}), bound_by({})
    (<Stage.DEVICE: 'device'>, None)
    """
    known = {stage: seconds[stage] for stage in Stage if seconds.get(stage, 0.0) > 0}
    return max(known, key=known.__getitem__) if known else None
