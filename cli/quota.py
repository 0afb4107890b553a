"""What would bring the storage root below its quota. It never removes anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.quota import Fill
from client.wording import size
from pixmill.retention import EXAMPLE

if TYPE_CHECKING:
    from cli.retention import Plan

SHOWN_OUTPUTS = 5


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
