"""Devices as table rows."""

from collections.abc import Sequence

from client.fleet import Member
from client.wording import age, size


def device_rows(fleet: Sequence[Member]) -> list[list[str]]:
    """Device, host, model, memory, state, job, seen, reason."""
    return [
        [
            member.worker.device.name,
            member.worker.device.host,
            member.worker.device.model,
            size(member.worker.device.memory_bytes),
            member.state,
            str(member.job_id or "–"),
            age(member.worker.seen_at, member.at),
            member.remark,
        ]
        for member in fleet
    ]
