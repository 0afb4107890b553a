"""Labelled places where a process may be made to die, so that a test can show that nothing is lost there.

Armed by `PIXMILL_TEST_CRASH_AT=label` or `label:n` (the n-th time that it is reached) together with
`PIXMILL_TEST_CRASH_MARK=file`: the process that gets there makes the file and ends as if it had been killed, without
any cleaning up. While the file exists nothing more crashes, so that whatever is started again lives.
"""

import os
from collections import Counter
from enum import StrEnum
from functools import cache
from pathlib import Path

CRASHED = 86  # exit status; nothing else ends with it


class CrashPoint(StrEnum):
    """Every place, by the process that gets there and what it has just done."""

    SUBMIT_COMMITTED = "submit.committed"  # the scheduler is not told
    SCHEDULER_QUEUED = "scheduler.queued"  # committed, the wake-up has not left
    SCHEDULER_SENT = "scheduler.sent"  # not marked as sent
    SCHEDULER_MARKED = "scheduler.marked"
    SCHEDULER_EXPIRED = "scheduler.expired"
    SCHEDULER_NOTED_STEP = "scheduler.noted_step"  # a pipeline's step is over; nothing after it has begun
    SCHEDULER_ADDED_STEP = "scheduler.added_step"  # with its job, of which no wake-up has left
    SCHEDULER_PROMOTED = "scheduler.promoted"  # a pipeline's step has decided; nothing after it has begun
    WORKER_CLAIMED = "worker.claimed"  # the device process knows nothing of it
    WORKER_ASSIGNED = "worker.assigned"
    WORKER_BEAT = "worker.beat"
    WORKER_HEARD_CHECKPOINT = "worker.heard_checkpoint"  # not published
    WORKER_PUBLISHED_CHECKPOINT = "worker.published_checkpoint"  # the old one is not removed
    WORKER_REMOVED_CHECKPOINT = "worker.removed_checkpoint"
    WORKER_HEARD_SHARD = "worker.heard_shard"  # not published
    WORKER_PUBLISHED_SHARD = "worker.published_shard"
    WORKER_HEARD_RESULT = "worker.heard_result"  # not published
    WORKER_KEPT_RESULT = "worker.kept_result"  # to be published with those that follow
    WORKER_FINISHED = "worker.finished"  # the scheduler is not told
    DEVICE_BEGUN = "device.begun"
    DEVICE_WROTE_CHECKPOINT = "device.wrote_checkpoint"  # on disk, not announced
    DEVICE_ANNOUNCED_CHECKPOINT = "device.announced_checkpoint"
    DEVICE_WROTE_SHARD = "device.wrote_shard"  # on disk, not announced
    DEVICE_ANNOUNCED_SHARD = "device.announced_shard"
    DEVICE_WROTE_RESULT = "device.wrote_result"  # on disk, not announced
    FILE_WRITTEN = "file.written"  # under its temporary name
    FILE_RENAMED = "file.renamed"  # the folder is not flushed to the disk
    GC_FORGOT = "gc.forgot"  # rows of versions or training states; their files are still there


_reached: Counter[CrashPoint] = Counter()


def reach(point: CrashPoint) -> None:
    """Die here if this place is armed."""
    armed = _armed()
    if armed is None or armed[0] != point:
        return
    _reached[point] += 1
    if _reached[point] == armed[1] and _is_first(armed[2]):
        os._exit(CRASHED)


@cache
def _armed() -> tuple[CrashPoint, int, Path] | None:
    text, mark = os.environ.get("PIXMILL_TEST_CRASH_AT"), os.environ.get("PIXMILL_TEST_CRASH_MARK")
    if not text or not mark:
        return None
    label, _, count = text.partition(":")
    return CrashPoint(label), int(count or 1), Path(mark)


def _is_first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
