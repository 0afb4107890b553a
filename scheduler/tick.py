"""One look at the database, and everything that follows from it: fail, reap, queue, send.

Any number of schedulers may do this at once: every step is a compare-and-set, and a wake-up sent twice starts a task
once.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from db.corruptjobs import fail_noted
from db.dispatch import (
    Queued,
    Sighting,
    WakeUp,
    expire_lease,
    forget_worker,
    free_slots,
    mark_dispatched,
    queue_ready_tasks,
    queued_tasks,
    settle_waiting,
    sight_running,
    unqueue,
    unqueue_paused,
)
from db.engine import Database
from db.lanes import Slot
from db.order import waiting_wake_ups
from db.tables.fleet import DeviceKind
from db.workers import database_time, due_canaries, note_canary_sent, present_slots, sight_workers
from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import BrokerUnreachable
from pixmill.sections import SchedulerSettings
from scheduler.broker import WakeUpSender
from scheduler.reaper import StillnessWatch

log = logging.getLogger(__name__)

SETTLE_PAUSES = 20.0  # a look at all that waits for others is followed by a pause of this many times its length


@dataclass(frozen=True)
class _Look:
    """What a tick sees of workers and tasks, all of it at one moment."""

    leases: Mapping[int, Sighting]  # by task
    workers: Mapping[int, int]  # id → heartbeat counter
    queued: Sequence[Queued]
    slots: AbstractSet[Slot]  # that a worker has
    at: datetime  # by the database's clock
    canaries: Sequence[tuple[int, int]]  # (worker id, number) to be sent


class Ticker:
    """Carries from tick to tick what was seen of workers and leases."""

    def __init__(self, database: Database, sender: WakeUpSender, settings: SchedulerSettings) -> None:
        self._database = database
        self._sender = sender
        self._settings = settings
        self._leases: StillnessWatch[int, Sighting] = StillnessWatch(settings.lease_seconds)
        self._workers: StillnessWatch[int, int] = StillnessWatch(settings.lease_seconds)
        self._settle_due = 0.0
        self.broker_error: str | None = None

    def tick(self) -> int:
        """Do all that is due; gives how many wake-ups were sent.  Raises DatabaseUnreachable."""
        self.broker_error = None
        sent = self._dispatch()  # first of all: somebody may have just submitted a job, and a device waits for it
        seen = self._database.consult(self._look)
        if self._reap(seen) + self._settle_waiting() + fail_noted(self._database):
            sent += self._dispatch()
        sent += self._send(self._lost_wake_ups(seen))
        self._send_canaries(seen)
        return sent

    def _look(self, session: Session) -> "_Look":
        return _Look(
            leases=sight_running(session),
            workers=sight_workers(session),
            queued=queued_tasks(session),
            slots=present_slots(session),
            at=database_time(session),
            canaries=due_canaries(session, self._settings.canary_seconds),
        )

    def _dispatch(self) -> int:
        """Slot by slot: each transaction locks jobs first, then arrays with a limit, and nobody waits in a ring."""
        free = self._database.transact(self._free_slots)
        wake_ups = []
        for slot, count in free.items():
            wake_ups += self._database.transact(partial(queue_ready_tasks, slot=slot, count=count))
        if wake_ups:
            reach(CrashPoint.SCHEDULER_QUEUED)
        return self._send(wake_ups)

    def forget(self) -> None:
        """Give every worker and lease a full period of grace, after the database was away."""
        self._leases.forget()
        self._workers.forget()

    def _settle_waiting(self) -> int:
        """Look at all that waits for others, unless that has just cost too much time."""
        started = time.monotonic()
        if started < self._settle_due:
            return 0
        found = self._database.transact(settle_waiting)
        self._settle_due = started + SETTLE_PAUSES * (time.monotonic() - started)
        return found

    def _reap(self, seen: "_Look") -> int:
        """Take the tasks of silent workers from them, and forget silent workers; gives how many of both."""
        leases = self._leases.update(seen.leases)
        workers = self._workers.update(seen.workers)
        for task_id, sighting in leases.items():
            with self._database.corrupt_rows.spared(f"job {sighting.job_id}", sighting.job_id):
                self._expire(task_id, sighting)
        for worker_id, beats in workers.items():
            if self._database.transact(partial(forget_worker, worker_id=worker_id, beats=beats)):
                log.warning("worker went silent", extra={"action": "forget_worker", "worker": worker_id})
        return len(leases) + len(workers)

    def _expire(self, task_id: int, seen: Sighting) -> None:
        limit = self._settings.max_lost_leases
        state = self._database.transact(lambda session: expire_lease(session, task_id, seen, max_lost_leases=limit))
        if state is not None:
            reach(CrashPoint.SCHEDULER_EXPIRED)
            log.warning("lease expired", extra={"action": "expire", "task": task_id, "state": state.value})

    def _free_slots(self, session: Session) -> dict[Slot, int]:
        """How many more tasks can be called, by sort of worker."""
        unqueue_paused(session)
        slots = free_slots(session)
        for (kind, devices), count in waiting_wake_ups(session).items():
            _take_slots(slots, kind, devices, count)
        return {slot: count for slot, count in slots.items() if count}

    def _lost_wake_ups(self, seen: "_Look") -> list[WakeUp]:
        """Queued tasks whose message never left, or left so long ago that it must have been lost."""
        again = []
        for task in seen.queued:
            age = None if task.dispatched_at is None else (seen.at - task.dispatched_at).total_seconds()
            # A negative age says that the database's clock went back: nothing is known then.
            if age is not None and 0 <= age < self._settings.redispatch_seconds:
                continue
            slot = _slot_for(task, seen.slots)
            if slot is None:
                with self._database.corrupt_rows.spared(f"job {task.job_id}", task.job_id):
                    self._database.transact(partial(unqueue, task=task, why="no worker is left"))
            else:
                again.append(WakeUp(task.id, task.dispatch_seq, slot))
        return again

    def _send_canaries(self, seen: "_Look") -> None:
        """Let idle workers show that they hear: a connection can be dead on one side alone."""
        for worker_id, number in seen.canaries:
            if self.broker_error is not None:
                return
            try:
                self._sender.send_canary(worker_id, number)
            except BrokerUnreachable as error:
                self.broker_error = error.message
            else:
                self._database.transact(lambda session, to=worker_id, n=number: note_canary_sent(session, to, n))  # type: ignore[misc]

    def _send(self, wake_ups: Sequence[WakeUp]) -> int:
        sent = []
        for wake_up in wake_ups:
            try:
                self._sender.send(wake_up)
            except BrokerUnreachable as error:
                self.broker_error = error.message
                log.warning("wake-ups wait", extra={"action": "send", "reason": error.message})
                break
            sent.append(wake_up)
        if sent:
            reach(CrashPoint.SCHEDULER_SENT)
            self._database.transact(lambda session: mark_dispatched(session, sent))
            reach(CrashPoint.SCHEDULER_MARKED)
        return len(sent)


def _take_slots(slots: dict[Slot, int], kind: DeviceKind | None, devices: int, count: int) -> None:
    for candidate in (slot for slot in slots if slot.takes(kind, devices)):
        taken = min(count, slots[candidate])
        slots[candidate] -= taken
        count -= taken


def _slot_for(task: Queued, present: AbstractSet[Slot]) -> Slot | None:
    """The sort of worker to wake: on the fast devices, and with no more of them than it takes."""
    suited = [slot for slot in present if slot.takes(task.device_kind, task.devices)]
    return min(suited, key=lambda slot: (slot.kind is DeviceKind.CPU, slot.width), default=None)
