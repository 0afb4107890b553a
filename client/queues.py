"""Queues as people look at them: what waits and runs in each, and what it may."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.views import QueueLine

STATES = ("pending", "queued", "running", "held")


def read_queues(session: "Session", active: Mapping[tuple[str, str], int] | None = None) -> list[dict[str, Any]]:
    """All queues as JSON, by name; `active` is what `db.order.active_tasks` gave, where it was read already."""
    from db.order import active_tasks
    from db.views import list_queues

    tasks: Counter[str] = Counter()
    for (queue, _user), count in (active_tasks(session) if active is None else active).items():
        tasks[queue] += count
    return [_queue_json(line, tasks[line.queue.name]) for line in list_queues(session)]


def _queue_json(line: "QueueLine", tasks: int) -> dict[str, Any]:
    queue = line.queue
    return {
        "name": queue.name,
        "paused": queue.paused,
        "reason": queue.paused_reason,
        "jobs": {state: next((n for key, n in line.jobs.items() if key == state), 0) for state in STATES},
        "tasks": tasks,
        "max_running": queue.max_running,
        "max_running_per_user": queue.max_running_per_user,
        "weight": queue.weight,
    }
