"""Runs one lease from claim to end: hands it to the device process, keeps the lease alive, publishes what comes."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from db.engine import Database
from db.handfuls import Success
from db.leases import Lease, finish, give_back, heartbeat, lose, publish_checkpoint, publish_shard
from db.tables.fleet import Worker
from db.tables.jobs import Outcome
from db.tables.published import Checkpoint, CheckpointKind
from pixmill.crashpoints import CrashPoint, reach
from pixmill.errors import CorruptRow, DatabaseUnreachable, LeaseLost, PixmillError
from pixmill.kinds import devices_of
from pixmill.logs import about
from pixmill.settings import Settings
from pixmill.states import FailureReason
from pixmill.traces import trace_id
from storage.paths import Layout
from worker.assignment import Assignment
from worker.parent.device_process import DeviceProcess, lock_paths
from worker.parent.filing import filer
from worker.parent.holding import Holding, tell_lost
from worker.parent.inputs import build_assignment, corruption_behind, shard_row
from worker.parent.meter import Meter
from worker.parent.publishing import publisher
from worker.parent.sharing import LogSharer
from worker.parent.spans import AttemptSpans
from worker.parent.stubborn import Stubborn
from worker.parent.watch import Watch

log = logging.getLogger(__name__)

ENDS = ("succeeded", "failed", "stopped")  # what the device process says last of an attempt


class Runner:
    """The working half of a worker parent: it runs one task at a time, and holds short ones by the handful."""

    def __init__(self, database: Database, settings: Settings, worker: Worker, process: DeviceProcess) -> None:
        self._database = database
        self._settings = settings
        self._process = process
        self._layout = Layout(settings.storage_root)
        self._stopping = threading.Event()
        self._idle_since: float | None = time.monotonic()
        self._next: Lease | None = None  # held already when the task before it has ended
        grace = settings.worker.stop_grace_seconds
        self._stubborn = Stubborn(database, self._stopping, grace, self._listen)
        self._holding = Holding(database, worker, self._stubborn, self._stopping.is_set)
        self._spans = AttemptSpans()
        self._sharer = LogSharer(database, settings.log, self._layout)
        self.meter = Meter()

    def run_all(self, hint: tuple[int, int], after_each: Callable[[], None]) -> None:
        """Run the hinted task and then, without waiting to be woken, the best that wait, until nothing does.

        Raises DatabaseUnreachable, or DeviceProcessRefused or Unavailable when the device process cannot be had. What
        was not claimed then is woken again later; what was claimed is taken back when its lease runs out.
        """
        self._idle_since = None
        try:
            lease = self._take_up(hint)
            while lease is not None:
                lease = self._run(lease) or self._take_up(None)
                if not self._holding.has_unstored:
                    after_each()
        finally:
            self._idle_since = time.monotonic()

    def _take_up(self, hint: tuple[int, int] | None) -> Lease | None:
        """Claim the hinted task, or else the best one that waits.  Raises as `run_all`."""
        if self._stopping.is_set():
            return None
        self._revive()  # before the claim: a broken device must not spoil one task after the other
        return self._holding.take_up(hint)

    def _run(self, lease: Lease) -> Lease | None:
        """Run a claimed task to its end; gives the next one, if it is held already.  Raises as `run_all`."""
        with about(job=lease.job_id, task=lease.task_id, epoch=lease.epoch, trace=trace_id(lease.trace_parent)):
            return self._run_known(lease)

    def _run_known(self, lease: Lease) -> Lease | None:
        reach(CrashPoint.WORKER_CLAIMED)
        log.info("claimed", extra={"job": lease.job_id, "task": lease.task_id, "epoch": lease.epoch})
        self._next = None
        try:
            self._revive()
            with self.meter.running(lease.queue, lease.user_name, devices_of(lease.spec)):
                self._execute(lease)
        except LeaseLost as error:
            tell_lost(lease, error)
            self._process.kill()
            self._holding.put_down()
        except Exception as error:
            self._process.kill()  # what it still says must not be taken for the next task's
            corrupt = corruption_behind(error, lease)
            if corrupt is None:
                self._holding.abandon(lease)
                raise
            self._holding.put_down()
            self._holding.give_up(lease, corrupt)
        return self._next

    @property
    def idle_seconds(self) -> float:
        """For how long nothing has run, so that messages were read; 0 while anything does."""
        since = self._idle_since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self) -> None:
        """Stop the running task at its next safe point, and start no other; safe in a signal handler."""
        self._stopping.set()
        self._process.wake()

    def close(self) -> None:
        """End the device process."""
        self._process.close()

    def _listen(self, seconds: float) -> None:
        """Let the time pass while the device process goes on."""
        self._process.listen(seconds)

    def _execute(self, lease: Lease) -> None:
        try:
            assignment = self._stubborn.consult(lambda session: self._assignment(session, lease))
        except DatabaseUnreachable:
            raise
        except PixmillError as error:
            self._holding.put_down()
            is_corrupt = isinstance(error, CorruptRow)
            reason = FailureReason.CORRUPT_ROW if is_corrupt else FailureReason.USER_ERROR
            return self._holding.fail(lease, reason, error.message)
        self._sharer.begin()
        self._spans.begin()
        self._process.run(assignment)
        reach(CrashPoint.WORKER_ASSIGNED)
        watch = Watch(self._settings, lease.time_limit_seconds)
        self._follow(lease, watch)
        self._spans.end(lease, assignment, watch)
        return None

    def _assignment(self, session: Session, lease: Lease) -> Assignment:
        return build_assignment(session, lease, self._settings, self._process.threads)

    def _revive(self) -> None:
        """Replace a device process that has died since its last task."""
        if self._process.is_running:
            return
        self._holding.put_down()  # a start takes seconds, for which nothing else has to wait
        log.info("starting a new device process", extra={"device": self._process.device})
        self._process.close()
        old, locks = self._process, lock_paths(self._settings.run_folder, self._process.device)
        self._process = DeviceProcess(old.device, old.threads, *locks, encoders=old.encoders)
        self._process.wait_ready()

    def _follow(self, lease: Lease, watch: Watch) -> None:
        """Listen to the device process until it says how the attempt ended, or is gone."""
        while True:
            message = self._process.receive(self._patience(watch))
            if message is not None:
                watch.heard()
                if self._take(lease, watch, message):
                    return None
            elif not self._process.is_heard:
                self._holding.put_down()
                return self._end_dead(lease, watch)
            self._keep_alive(lease, watch)

    def _patience(self, watch: Watch) -> float:
        """Seconds until something must be done, whatever the device process says."""
        left = self._holding.seconds_left()
        return watch.until_beat() if left is None else min(left, watch.until_beat())

    def _take(self, lease: Lease, watch: Watch, message: dict[str, Any]) -> bool:
        """Act on one message; True when it ended the attempt."""
        if message["say"] in ENDS:
            watch.answer = message["say"]
            self._sharer.end(lease, succeeded=watch.answer == "succeeded")
        match message["say"]:
            case "progress":
                watch.told(message)
            case "checkpoint":
                self._publish_checkpoint(lease, message)
            case "shard":
                self._publish_shard(lease, message["record"], message["folder"])
            case "succeeded":
                self._spans.publish()
                self._succeed(lease, watch, message["result"])
                return True
            case "failed":
                self._holding.put_down()
                self._holding.fail(lease, FailureReason(message["reason"]), message["message"])
                if message.get("ends"):
                    self._process.kill()  # it cannot be trusted any more; the next task gets a new one
                return True
            case "stopped":
                self._holding.put_down()
                self._end_stopped(lease, watch)
                return True
        return False

    def _keep_alive(self, lease: Lease, watch: Watch) -> None:
        if self._stopping.is_set() or self._holding.seconds_left() == 0:
            self._holding.put_down()
        if watch.beat_is_due():
            self._beat(lease, watch)
            self._sharer.look(lease)
        if (watch.wants_stop or self._stopping.is_set()) and not watch.asked_to_stop:
            log.info("asking to stop", extra={"task": lease.task_id, "cancelled": watch.cancelled})
            self._process.ask_to_stop()
            watch.ask()
        if watch.grace_is_over():
            log.warning("stop took too long", extra={"task": lease.task_id})
            self._process.kill()
        elif watch.is_hanging():
            watch.verdict = f"no progress for {self._settings.worker.progress_deadline_seconds:g} s"
            self._process.kill()

    def _beat(self, lease: Lease, watch: Watch) -> None:
        progress, done = watch.facts()
        try:
            orders = self._database.transact(lambda session: heartbeat(session, lease, progress, done))
        except DatabaseUnreachable as error:
            # Hours of device time are not thrown away for an outage: work on, publish nothing, say it later.
            log.warning("the database is away", extra={"task": lease.task_id, "reason": error.message})
        else:
            watch.obey(orders)
            reach(CrashPoint.WORKER_BEAT)

    def _publish_checkpoint(self, lease: Lease, message: dict[str, Any]) -> None:
        row = {
            "task_id": lease.task_id,
            "lease_epoch": lease.epoch,
            "kind": CheckpointKind(message["kind"]),
            "images_seen": message["images_seen"],
            "metric_value": message["metric"],
            "path": message["path"],
            "sha256": message["sha256"],
            "size_bytes": message["size_bytes"],
        }
        reach(CrashPoint.WORKER_HEARD_CHECKPOINT)
        old = self._stubborn.transact(lambda session: publish_checkpoint(session, lease, Checkpoint(**row)))
        reach(CrashPoint.WORKER_PUBLISHED_CHECKPOINT)
        for path in old:
            self._layout.resolve(path).unlink(missing_ok=True)
            reach(CrashPoint.WORKER_REMOVED_CHECKPOINT)

    def _publish_shard(self, lease: Lease, record: dict[str, Any], folder: str) -> None:
        reach(CrashPoint.WORKER_HEARD_SHARD)
        self._stubborn.transact(lambda session: publish_shard(session, lease, shard_row(lease, record, folder)))
        reach(CrashPoint.WORKER_PUBLISHED_SHARD)

    def _succeed(self, lease: Lease, watch: Watch, result: dict[str, Any]) -> None:
        publish = publisher(lease.role) or filer(lease.role, self._layout)
        success = Success(
            lease=lease,
            done=watch.facts()[1],
            result=result if publish is None else None,
            publish=None if publish is None else lambda session: publish(session, lease, result),
        )
        reach(CrashPoint.WORKER_HEARD_RESULT)
        self._next = self._holding.succeed(success, watch.seconds())

    def _end_stopped(self, lease: Lease, watch: Watch) -> None:
        if watch.cancelled:
            self._stubborn.transact(lambda session: finish(session, lease, Outcome.CANCELLED))
        elif watch.is_over_time:
            self._holding.fail(
                lease, FailureReason.TIME_LIMIT, f"it ran longer than its limit of {watch.time_limit:g} s"
            )
        else:
            self._stubborn.transact(lambda session: give_back(session, lease))
        log.info("stopped", extra={"task": lease.task_id, "cancelled": watch.cancelled})

    def _end_dead(self, lease: Lease, watch: Watch) -> None:
        self._sharer.end(lease, succeeded=False)
        if watch.asked_to_stop:
            return self._end_stopped(lease, watch)
        message = watch.verdict or f"its device process was {self._process.ended_with}"
        reason = FailureReason.NO_PROGRESS if watch.verdict else FailureReason.WORKER_LOST
        log.warning("device process died", extra={"task": lease.task_id, "reason": message})
        limit = self._settings.scheduler.max_lost_leases
        self._stubborn.transact(lambda session: lose(session, lease, message, reason=reason, max_lost_leases=limit))
        return None
