"""Devices as table rows."""

from collections.abc import Sequence

from cli.formatting import meter
from cli.output import Column
from client.fleet import Member
from client.wording import age, size


def device_rows(fleet: Sequence[Member], columns: Sequence[Column]) -> list[list[str]]:
    """The cells of these columns, for each device."""
    return [[cells[column.title] for column in columns] for cells in map(_cells, fleet)]


def _cells(member: Member) -> dict[str, str]:
    """What any table of devices may show, by the column's title."""
    worker = member.worker
    used, memory = (worker.memory_used_bytes if member.is_present else None), worker.device.memory_bytes
    busy = worker.utilisation if member.is_present else None
    return {
        "DEVICE": worker.device.name,
        "HOST": worker.device.host,
        "MODEL": worker.device.model,
        "MEMORY": size(memory),
        "USED": "–" if used is None else size(used),
        "UTIL": "–" if busy is None else f"{busy:.0%}",
        "BUSY": "–" if busy is None else f"{meter(busy)} {busy:>4.0%}",
        "MEMORY USED": "–"
        if used is None
        else f"{meter(used / memory if memory else 0)} {size(used)} of {size(memory)}",
        "STATE": member.state,
        "JOB": str(member.job_id or "–"),
        "SEEN": age(worker.seen_at, member.at),
        "REASON": member.remark,
    }
