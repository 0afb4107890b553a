"""The faults: what can be killed, stopped, cut, stolen, doubled, spoilt or taken back, each by its name.

A fault is a function that hurts a site and yields the seconds until it goes on, to heal what it has hurt or to hurt
again. What it picks comes from its own random numbers; which moment of a job it hits cannot be chosen.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.faults.hurt_broker import (
    black_hole,
    cut_broker_connections,
    fill_broker,
    flush_broker,
    reorder_wake_ups,
    repeat_wake_up,
    stale_wake_up,
    steal_wake_up,
    stop_broker,
)
from tests.faults.hurt_data import (
    cut_postgresql_connections,
    flip_bit,
    lock_sqlite,
    restart_postgresql,
    stop_postgresql,
    tear_checkpoint,
)
from tests.faults.hurt_operators import (
    cancel,
    cancel_and_retry,
    drain_by_row,
    hold,
    pause,
    reprioritise,
    requeue,
    submit_at_once,
)
from tests.faults.hurt_processes import (
    drain,
    drain_twice,
    fill_disk,
    hang_device_process,
    kill_device_process,
    kill_group,
    kill_scheduler,
    kill_worker,
    make_zombie,
    make_zombie_pair,
    stop_device_process_briefly,
    stop_scheduler,
    stop_worker_briefly,
)
from tests.faults.site import Site, Steps

Hurt = Callable[[Site, random.Random], Steps]
Needs = Literal["broker", "database"]


@dataclass(frozen=True)
class Fault:
    """A way to hurt a site."""

    name: str
    weight: float  # how often it is picked
    hurt: Hurt
    needs: Needs | None = None  # what only one fault may have in its hands at a time
    on: frozenset[str] = frozenset({"sqlite", "postgresql"})


_SQLITE, _POSTGRESQL = frozenset({"sqlite"}), frozenset({"postgresql"})
_BROKER: Any = {"needs": "broker"}
_DATABASE: Any = {"needs": "database"}

FAULTS: tuple[Fault, ...] = (
    Fault("kill device process", 3.0, kill_device_process),
    Fault("kill worker", 2.0, kill_worker),
    Fault("kill scheduler", 2.0, kill_scheduler),
    Fault("kill worker, child and scheduler", 0.4, kill_group),
    Fault("stop worker briefly", 5.0, stop_worker_briefly),
    Fault("zombie worker", 1.0, make_zombie),
    Fault("zombie worker and child", 0.5, make_zombie_pair),
    Fault("stop scheduler", 3.0, stop_scheduler),
    Fault("stop device process briefly", 5.0, stop_device_process_briefly),
    Fault("hang device process", 0.2, hang_device_process),
    Fault("drain worker (SIGTERM)", 1.0, drain),
    Fault("drain worker twice", 0.5, drain_twice),
    Fault("stop Redis", 0.8, stop_broker, **_BROKER),
    Fault("FLUSHALL", 6.0, flush_broker, **_BROKER),
    Fault("CLIENT KILL", 6.0, cut_broker_connections, **_BROKER),
    Fault("steal wake-up", 4.0, steal_wake_up),
    Fault("repeat wake-up ×10", 6.0, repeat_wake_up),
    Fault("stale wake-up", 6.0, stale_wake_up),
    Fault("reorder wake-ups", 4.0, reorder_wake_ups),
    Fault("Redis out of memory", 0.8, fill_broker, **_BROKER),
    Fault("Redis black hole", 0.8, black_hole, **_BROKER),
    Fault("restart PostgreSQL", 0.6, restart_postgresql, **_DATABASE, on=_POSTGRESQL),
    Fault("stop PostgreSQL 1–3 leases", 0.3, stop_postgresql, **_DATABASE, on=_POSTGRESQL),
    Fault("pg_terminate_backend", 5.0, cut_postgresql_connections, **_DATABASE, on=_POSTGRESQL),
    Fault("lock SQLite", 1.5, lock_sqlite, **_DATABASE, on=_SQLITE),
    Fault("tear checkpoint", 2.0, tear_checkpoint),
    Fault("flip a bit of a checkpoint", 2.0, flip_bit),
    Fault("disk full", 1.5, fill_disk),
    Fault("same key at once", 3.0, submit_at_once),
    Fault("cancel", 4.0, cancel),
    Fault("hold and release", 5.0, hold),
    Fault("requeue", 5.0, requeue),
    Fault("cancel and retry", 4.0, cancel_and_retry),
    Fault("priority or top", 4.0, reprioritise),
    Fault("drain and resume by row", 3.0, drain_by_row),
    Fault("pause and resume queue", 2.0, pause),
)
CRASH_POINT = "crash point"  # armed at restarts, counted when a process has died of one


def faults_on(kind: str) -> list[Fault]:
    """Those that this kind of database can suffer."""
    return [fault for fault in FAULTS if kind in fault.on]
