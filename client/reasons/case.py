"""A job whose tasks wait, as every check looks at it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.fleet import Member
from client.situation import Situation
from pixmill.kinds import devices_of

if TYPE_CHECKING:
    from db.listing import JobLine
    from db.reasons import Unfinished
    from db.tables.jobs import Job


@dataclass(frozen=True)
class Case:
    """One job whose tasks wait."""

    line: "JobLine"
    job: "Job"
    unfinished: "Unfinished"
    situation: Situation

    @property
    def wanted_kind(self) -> str | None:
        """The kind of device that it asks for; None: any."""
        device = str(self.job.options.get("device", "any"))
        return None if device == "any" else device

    @property
    def wanted_width(self) -> int:
        """How many devices it takes at once."""
        return devices_of(self.job.spec)

    @property
    def of_kind(self) -> list[Member]:
        """Those of the kind that it runs on, but for the ones that are down."""
        fleet = [member for member in self.situation.fleet if member.state != "down"]
        return [member for member in fleet if self.wanted_kind in {None, member.worker.device.kind.value}]

    @property
    def devices(self) -> list[Member]:
        """Those that it could run on, but for the ones that are down."""
        return [member for member in self.of_kind if member.worker.device.width >= self.wanted_width]

    @property
    def free(self) -> list[Member]:
        """Those that could begin it at once."""
        return [member for member in self.devices if member.state == "free"]
