"""What a worker tells a collector of traces about an attempt that has ended."""

import time
from datetime import datetime

from db.leases import Lease
from scheduler import spans
from worker.assignment import Assignment
from worker.parent.watch import Watch


class AttemptSpans:
    """The spans of one attempt after the other."""

    def __init__(self) -> None:
        self._began_ns = self._published_ns = 0

    def begin(self) -> None:
        """Another attempt begins now."""
        self._began_ns, self._published_ns = time.time_ns(), 0

    def publish(self) -> None:
        """What it has made is published from now on."""
        self._published_ns = time.time_ns()

    def end(self, lease: Lease, assignment: Assignment, watch: Watch) -> None:
        """Tell of the attempt, if anybody wants to know."""
        if lease.trace_parent is None or assignment.trace_parent is None or not spans.are_wanted():
            return
        ended = time.time_ns()
        work = {"job": lease.job_id, "task": lease.task_id, "epoch": lease.epoch, "role": lease.role.value}
        work |= {"queue": lease.queue, "worker": lease.worker_name}
        if lease.epoch == 1 and lease.submitted_at is not None:
            since = _nanoseconds(lease.submitted_at)
            spans.record("wait", parent=lease.trace_parent, began_ns=since, ended_ns=self._began_ns, attributes=work)
        own, error = assignment.trace_parent, None if watch.answer in ("succeeded", "stopped") else watch.answer
        told = {**work, "outcome": watch.answer}
        began, above = self._began_ns, lease.trace_parent
        spans.record("run", parent=above, own=own, began_ns=began, ended_ns=ended, attributes=told, error=error)
        if self._published_ns:
            spans.record("publish", parent=own, began_ns=self._published_ns, ended_ns=ended, attributes=work)


def _nanoseconds(at: datetime) -> int:
    """Since 1970; the clock is the database's."""
    return round(at.timestamp() * 1e9)
