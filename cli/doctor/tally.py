"""What a collection removes and what it leaves, counted by reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.doctor.collection import Sight
from client.wording import duration
from storage.garbage.verdicts import Standing, Verdict, Waste
from storage.garbage.weighing import Usage

HISTORY = "history"  # what stays of folders that are left
YOUNG = "young"
LATER = "later"
UNCLAIMED = "unclaimed"
STRANGER = "stranger"

GOES: Mapping[str, str] = {
    Waste.LEFT: "older attempts that no row refers to (logs, curves and sample grids stay)",
    Waste.ORPHAN: "no attempt row, and older than {grace}",
    Waste.UNPUBLISHED: "checkpoints, shards and models without a row",
    Waste.TEMPORARY: "half-written files older than {grace}",
    Waste.TRASH: "removals that were interrupted",
}
STAYS: Mapping[str, str] = {
    Standing.LIVE: "a worker writes there now",
    Standing.PUBLISHED: "rows refer to what is in them",
    Standing.LATEST: "the newest attempt of its task, for logs and reports",
    HISTORY: "logs, curves and sample grids of older attempts",
    LATER: "no attempt row: a database restored from a copy is older than its files (pixmill db restored)",
    UNCLAIMED: "models and data sets of jobs that a restored database does not know; copy or remove them by hand",
    YOUNG: "no attempt row, but younger than {grace}",
    STRANGER: "not made by pixmill",
}


@dataclass
class Line:
    """How much one reason adds up to."""

    folders: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, usage: Usage) -> None:
        """Count one more folder."""
        self.folders += 1
        self.usage += usage

    def to_json(self) -> dict[str, int]:
        """The numbers as JSON."""
        return {"folders": self.folders, "files": self.usage.files, "bytes": self.usage.size_bytes}


def strange(place: str) -> str:
    """What is said of a place of which a tally knows nothing: a wrong database, or a wrong root, makes garbage of all.

    >>> strange("/srv/pixmill/runs")
    'knows not one of the attempts below /srv/pixmill/runs: do the two belong together?'
    """
    return f"knows not one of the attempts below {place}: do the two belong together?"


class Tally:
    """Sums over a walk."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self.goes = {str(reason): Line() for reason in GOES}
        self.stays = {str(reason): Line() for reason in STAYS}
        self.known = 0  # folders that the database knows

    def add(self, sight: Sight) -> None:
        """Count what was met."""
        if sight.stranger is not None:
            self.stays[STRANGER].add(Usage())
        for waste in {scrap.waste for scrap in sight.scraps}:
            usages = (scrap.usage for scrap in sight.scraps if scrap.waste is waste)
            self.goes[waste].add(Usage.total(usages))
        if sight.verdict is not None:
            self.known += sight.verdict.standing is not Standing.ORPHAN
            self._add_kept(sight.verdict)

    def _add_kept(self, verdict: Verdict) -> None:
        kept = verdict.whole - verdict.waste
        if verdict.standing is Standing.ORPHAN:
            why = LATER if verdict.is_later else UNCLAIMED if verdict.is_published else YOUNG
            if not verdict.scraps:
                self.stays[why].add(kept)
        elif verdict.standing is not Standing.LEFT:
            self.stays[verdict.standing].add(kept)
        elif kept.files:
            self.stays[HISTORY].add(kept)

    @property
    def waste(self) -> Usage:
        """How much goes in all."""
        return Usage.total(line.usage for line in self.goes.values())

    @property
    def knows_none(self) -> bool:
        """Whether there are folders of attempts, and the database has a row for not one of them."""
        strangers = [self.goes[Waste.ORPHAN], *(self.stays[why] for why in (LATER, UNCLAIMED, YOUNG))]
        return not self.known and any(line.folders for line in strangers)

    def why(self, reason: str) -> str:
        """What a reason means."""
        return {**GOES, **STAYS}[reason].format(grace=duration(self.grace_seconds))

    def to_json(self) -> dict[str, Any]:
        """The sums as JSON."""
        return {
            "grace_seconds": self.grace_seconds,
            "goes": {reason: line.to_json() for reason, line in self.goes.items()},
            "stays": {reason: line.to_json() for reason, line in self.stays.items()},
        }
