"""The quota of the storage root: whether it is exceeded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.wording import size
from storage.disk import folder_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from pixmill.settings import Settings

REMEDY = "pixmill gc plan tells what would bring it below"


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
