"""Queues as table rows."""

from collections.abc import Mapping
from typing import Any

from cli.output import Column
from client.queues import STATES

COLUMNS = [
    Column(title="QUEUE", shrinks=True),
    Column(title="STATE"),
    *(Column(title=state.upper(), align="right", dropped=1 if state == "queued" else 0) for state in STATES),
    Column(title="TASKS", align="right"),
    Column(title="PER USER", align="right", dropped=2),
    Column(title="WEIGHT", align="right", dropped=3),
    Column(title="REASON", shrinks=True),
]


def queue_row(item: Mapping[str, Any]) -> list[str]:
    """The cells of COLUMNS."""
    limit, per_user = item["max_running"], item["max_running_per_user"]
    is_full = limit is not None and item["tasks"] >= limit
    return [
        item["name"],
        "paused" if item["paused"] else "full" if is_full else "open",
        *(str(item["jobs"][state]) for state in STATES),
        str(item["tasks"]) if limit is None else f"{item['tasks']} of {limit}",
        "–" if per_user is None else str(per_user),
        f"{item['weight']:g}",
        item["reason"] or "",
    ]
