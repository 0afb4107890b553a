"""The quota of the storage root: whether it is exceeded, and what would bring it below. It never removes anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.formatting import size
from pixmill.retention import EXAMPLE
from storage.disk import folder_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from cli.retention import Plan
    from pixmill.settings import Settings

REMEDY = "pixmill gc plan tells what would bring it below"
SHOWN_OUTPUTS = 5


@dataclass(frozen=True, kw_only=True)
class Fill:
    """How much lies below runs/ of the storage root, and how much may."""

    place: "Path"
    quota_bytes: int
    used_bytes: int
    is_whole: bool = True  # False: not all was counted in time

    @property
    def excess_bytes(self) -> int:
        """By how much the quota is exceeded, as far as was counted; 0: it is not."""
        return max(0, self.used_bytes - self.quota_bytes)

    def __str__(self) -> str:
        """One line with all numbers."""
        if not self.is_whole and not self.excess_bytes:
            return f"more than {size(self.used_bytes)} of {size(self.quota_bytes)} below {self.place}; not all counted"
        least = "" if self.is_whole else "at least "
        over = f": {least}{size(self.excess_bytes)} over" if self.excess_bytes else ""
        return f"{least}{size(self.used_bytes)} of {size(self.quota_bytes)} below {self.place}{over}"


def measure(settings: "Settings", *, until: float | None = None) -> Fill | None:
    """Count what lies there, till `until` (`time.monotonic`); None without a quota.

    Raises PermissionDenied or StorageError.
    """
    if settings.retention.quota is None:
        return None
    place = settings.storage_root / "runs"
    used, is_whole = folder_bytes(place, until=until)
    return Fill(place=place, quota_bytes=settings.retention.quota, used_bytes=used, is_whole=is_whole)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What would bring the storage root below its quota."""

    fill: Fill
    freed_bytes: int  # by a collection
    plan: "Plan"
    outputs: Sequence[tuple[int, int]]  # (job id, bytes) of the largest, when a collection frees too little

    @property
    def rest_bytes(self) -> int:
        """What is still too much after a collection."""
        return max(0, self.fill.excess_bytes - self.freed_bytes)

    def fields(self) -> dict[str, str]:
        """Name → text."""
        fields = {"used": str(self.fill)}
        if not self.fill.excess_bytes:
            return fields
        left = f"leaves {size(self.fill.used_bytes - self.freed_bytes)}"
        fields["gc run"] = f"{left}: still {size(self.rest_bytes)} over" if self.rest_bytes else f"{left}: enough"
        if self.rest_bytes:
            fields["policy"] = self._policy()
            shown = ", ".join(f"{job_id} ({size(size_bytes)})" for job_id, size_bytes in self.outputs)
            first = f", such as: pixmill output rm {self.outputs[0][0]}" if self.outputs else ""
            fields["outputs"] = f"the largest are {shown}; only you can remove one{first}" if shown else "there is none"
        return fields

    def _policy(self) -> str:
        from cli.retention import amount

        if not self.plan.items:
            return f"none, so all versions and checkpoints stay: pixmill gc plan --policy {EXAMPLE}"
        return f"{self.plan.policy} alone keeps {amount(self.plan.kept_by_rule)}; what else stays is needed"

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON."""
        return {
            "quota_bytes": self.fill.quota_bytes,
            "used_bytes": self.fill.used_bytes,
            "excess_bytes": self.fill.excess_bytes,
            "freed_bytes": self.freed_bytes,
            "rest_bytes": self.rest_bytes,
            "outputs": [{"job_id": job_id, "bytes": size_bytes} for job_id, size_bytes in self.outputs],
        }
