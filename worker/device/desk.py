"""Where a job kind works: its assignment, its folder, and the line on which it reports."""

import json
import logging
import os
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from pixmill.crashpoints import CrashPoint, reach
from storage.atomic import TEMPORARY_SUFFIX, write_atomic
from storage.checkpoints import SavedFile
from storage.paths import Layout
from storage.places import BucketDataset, Place, attempt_url, in_bucket, upload_shard
from storage.s3.bucket import Bucket
from storage.shards import ShardRecord
from worker.assignment import Assignment, ShardInput
from worker.channel import Channel
from worker.device.journal import Journal

FETCHED = f".fetched{TEMPORARY_SUFFIX}"  # by its name garbage collection knows what a killed process has left
PROGRESS_SECONDS = 0.5  # the parent stores progress once a second; more often would be noise

log = logging.getLogger("job")


class StopRequested(Exception):
    """The parent asked this attempt to end: cancelled, or the worker stops. Nothing more may be published."""


class Desk:
    """One attempt's workplace."""

    def __init__(self, assignment: Assignment, channel: Channel | None, should_stop: Callable[[], bool]) -> None:
        self.assignment = assignment
        self.began = time.monotonic()
        self._channel = channel  # None: a hand's or a rank's, which another desk reports for
        self._should_stop = should_stop
        self._reported = 0.0
        self._phase = ""

    @cached_property
    def layout(self) -> Layout:
        """Where files lie."""
        return Layout(Path(self.assignment.storage_root))

    @cached_property
    def folder(self) -> Path:
        """The attempt's folder, which need not exist yet.  Raises PathEscape."""
        return self.layout.resolve(self.assignment.folder)

    @cached_property
    def journal(self) -> Journal:
        """The attempt's journal."""
        return Journal(self.folder)

    def journal_begin(self, device: str) -> None:
        """Write the journal's first entry."""
        self.journal.add(
            "begin", role=self.assignment.role, epoch=self.assignment.epoch, pid=os.getpid(), device=device
        )

    @property
    def should_stop(self) -> bool:
        """Whether the parent asked for the end."""
        return self._should_stop()

    def check_stop(self) -> None:
        """Raise StopRequested if the parent asked for the end."""
        if self.should_stop:
            raise StopRequested

    def progress(self, phase: str, done: int, total: int, **facts: Any) -> None:
        """Report how far this is (images); dropped when the last report is too fresh, unless the phase is new."""
        at = time.monotonic()
        if phase == self._phase and done < total and at - self._reported < PROGRESS_SECONDS:
            return
        if phase != self._phase:
            log.info(phase)
        self._phase, self._reported = phase, at
        self._send({"say": "progress", "phase": phase, "done": done, "total": total, "unit": "images", **facts})

    def measuring(self, phase: str, share: float) -> None:
        """Report a phase whose length is not counted in images; also the place where long work can be stopped."""
        self.check_stop()
        self.progress(phase, 0, 1, share=share)

    def publish_checkpoint(self, kind: str, saved: SavedFile, images_seen: int, metric: float | None) -> None:
        """Tell the parent that a checkpoint is safely on disk."""
        self.journal.add("checkpoint", kind=kind, path=saved.path, sha256=saved.sha256, images_seen=images_seen)
        reach(CrashPoint.DEVICE_WROTE_CHECKPOINT)
        self._send(
            {
                "say": "checkpoint",
                "kind": kind,
                "path": saved.path,
                "sha256": saved.sha256,
                "size_bytes": saved.size_bytes,
                "images_seen": images_seen,
                "metric": metric,
            }
        )
        reach(CrashPoint.DEVICE_ANNOUNCED_CHECKPOINT)

    @cached_property
    def bucket(self) -> BucketDataset | None:
        """What the shards of the assignment are, if they lie in a bucket.  Raises StorageError."""
        shards = [(shard.folder, ShardRecord.from_json(shard.record)) for shard in self.assignment.shards]
        return in_bucket(shards, self.assignment.endpoint, self.folder / FETCHED)

    def place_of(self, shard: ShardInput) -> Place:
        """Where a published shard is to be read.  Raises StorageError."""
        return self.bucket or self.layout.resolve(shard.folder)

    @cached_property
    def _outputs(self) -> Bucket | None:
        """The bucket for what is written here, if it goes to one: a single client sends all shards."""
        assignment = self.assignment
        return None if assignment.outputs is None else Bucket.of(assignment.outputs, assignment.endpoint)[0]

    def close(self) -> None:
        """Remove what was fetched from a bucket."""
        if self.__dict__.get("bucket") is not None:
            assert self.bucket is not None
            self.bucket.close()

    def publish_shard(self, record: ShardRecord, note: Callable[[int], None]) -> None:
        """Send a shard to its bucket, if it has one, and tell the parent that it is safe.

        `note` is told the bytes of each part that was sent. Raises as `upload_shard` does.
        """
        assignment, place = self.assignment, self.assignment.folder
        if self._outputs is not None:
            assert assignment.outputs is not None
            place = attempt_url(assignment.outputs, assignment.job_id, assignment.task_id, assignment.epoch)
            upload_shard(self.folder, record, place, self._outputs, note)
        self.journal.add("shard", number=record.number, tar_sha256=record.tar_sha256)
        reach(CrashPoint.DEVICE_WROTE_SHARD)
        self._send({"say": "shard", "record": record.to_json(), "folder": place})
        reach(CrashPoint.DEVICE_ANNOUNCED_SHARD)

    def _send(self, message: dict[str, Any]) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file into the attempt's folder."""
        path = self.folder / name
        write_atomic(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n")
        return path
