"""A home with jobs in it, moved along by the same functions that scheduler and workers use."""

import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.claims import claim, slot_of
from db.dispatch import queue_ready_tasks
from db.engine import Database, open_database
from db.jobs import add_job
from db.leases import Lease, finish, heartbeat, publish_shard
from db.registry import add_version, ensure_dataset
from db.tables.fleet import DeviceKind, Worker
from db.tables.jobs import Outcome, Role
from db.tables.models import Evaluation, ModelVersion
from db.tables.published import Shard
from db.workers import DeviceFacts, register_scheduler, register_worker
from pixmill.settings import Settings, load_settings
from pixmill.specs import EvaluateSpec, GenerateSpec, JobOptions, Spec, TrainSpec
from pixmill.states import FailureReason
from scheduler.submit import prepare
from storage.outputs import link_shard, write_dataset_index
from storage.paths import Layout
from storage.pictures import contact_sheet, save_png
from storage.records import ShardRecord
from storage.shards import ImageBatch, ShardMeta, write_shard

CLASSES = ("zero", "one")


@dataclass
class World:
    """One home, its database and what was put into it."""

    home: Path
    settings: Settings = field(init=False)
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.settings = load_settings(flags={"home": self.home})
        self.database = open_database(self.settings)

    def submit(self, spec: Spec, *, user: str = "olga", **options: Any) -> int:
        """Add a job; nobody is told."""
        chosen = JobOptions(**options)
        return self.database.transact(lambda session: add_job(session, prepare(session, spec, chosen, user=user)))

    def train(self, **options: Any) -> int:
        return self.submit(TrainSpec(model="vae", dataset="digits", images=10_000), **options)

    def generate(self, model: str, n: int = 40, **options: Any) -> int:
        return self.submit(GenerateSpec(model=model, n=n, shard_size=20), **options)

    def evaluate(self, output: int, **options: Any) -> int:
        return self.submit(EvaluateSpec(output=output), **options)

    def worker(
        self, name: str = "cpu", host: str | None = None, kind: DeviceKind = DeviceKind.CPU, width: int = 1
    ) -> Worker:
        facts = DeviceFacts(
            host=host or socket.gethostname(),
            name=name,
            kind=kind,
            model="test device",
            memory_bytes=16_000_000_000,
            width=width,
        )
        return self.database.transact(lambda session: register_worker(session, facts, pid=4711))

    def scheduler(self) -> None:
        self.database.transact(lambda session: register_scheduler(session, socket.gethostname(), 4712))

    def claim(self, worker: Worker) -> Lease:
        """Queue what is ready, and let the worker take one task."""
        layout = Layout(self.settings.storage_root)

        def folder(job_id: int, task_id: int, epoch: int) -> str:
            return layout.relative(layout.run_folder(job_id, task_id, epoch))

        self.database.transact(lambda session: queue_ready_tasks(session, slot_of(worker), 1))
        lease = self.database.transact(lambda session: claim(session, session.merge(worker), None, folder))
        assert lease is not None
        (self.root / lease.folder).mkdir(parents=True, exist_ok=True)
        return lease

    def claim_by(self, worker: Worker, job_id: int) -> Lease:
        """Let the worker take the next task, which is one of this job."""
        lease = self.claim(worker)
        assert lease.job_id == job_id
        return lease

    @property
    def root(self) -> Path:
        return self.settings.storage_root

    def log(self, lease: Lease, *lines: str) -> None:
        """Add lines to the attempt's log."""
        with (self.root / lease.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    def progress(self, lease: Lease, done: int, **more: Any) -> None:
        progress = {"done": done, "total": 10_000, "unit": "images", "rate": 812.5, "phase": "training", **more}
        self.database.transact(lambda session: heartbeat(session, lease, progress, done))

    def succeed(self, lease: Lease, result: dict[str, Any] | None = None) -> None:
        self.database.transact(
            lambda session: finish(session, lease, Outcome.SUCCEEDED, publish=lambda _session: result or {})
        )

    def fail(self, lease: Lease, reason: FailureReason, message: str) -> None:
        self.database.transact(lambda session: finish(session, lease, Outcome.FAILED, reason=reason, message=message))

    def succeed_training(
        self, lease: Lease, name: str = "digits-vae", classes: tuple[str, ...] = CLASSES, preset: str = "vae"
    ) -> None:
        """End a train task as a worker does: its model becomes a version."""

        def publish(session: Session) -> dict[str, Any]:
            dataset = ensure_dataset(session, "digits", "f" * 64, {})
            version = ModelVersion(
                job_id=lease.job_id,
                dataset_id=dataset.id,
                preset=preset,
                folder=f"{lease.folder}/model",
                digest="d" * 64,
                image_size=8,
                channels=1,
                classes=list(classes),
                images_seen=10_000,
                metric_name="kd@cnn-1a2b3c4d",
                metric_value=0.0123,
                lineage={"torch": "2.13.0", "device": "cpu"},
            )
            add_version(session, name, version)
            return {"model": f"{name}@1", "images_seen": 10_000}

        self.database.transact(lambda session: finish(session, lease, Outcome.SUCCEEDED, done=10_000, publish=publish))

    def trained(self, worker: Worker, **options: Any) -> int:
        """A train job from submit to model."""
        job_id = self.train(**options)
        self.succeed_training(self.claim(worker))
        return job_id

    def generated(self, worker: Worker, model: str = "digits-vae", n: int = 40, **options: Any) -> int:
        """A generate job from submit to data set, with real shards."""
        job_id = self.generate(model, n, **options)
        self.finish_generating(worker, job_id, n)
        return job_id

    def finish_generating(self, worker: Worker, job_id: int, n: int = 40) -> None:
        """Bring the job that comes next, which is such a one, to its end."""
        records = []
        while (lease := self.claim(worker)).role is Role.GENERATE:
            first, count = lease.params["first_shard"], lease.params["shards"]
            shards = [self.publish_shard(lease, one, min(20, n - 20 * one)) for one in range(first, first + count)]
            self.succeed(lease, {"images": sum(record.count for record, _ in shards), "shards": count, "seconds": 2.0})
            records += shards
        output = Layout(self.root).output_folder(job_id)
        for record, folder in records:
            link_shard(record, folder, output)
        write_dataset_index(output, [record for record, _ in records], name="images", details={"model": "digits-vae@1"})
        images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
        save_png(output / "contact-sheet.png", contact_sheet(images))
        relative = f"outputs/{job_id}"
        size = sum(record.tar_bytes + record.parquet_bytes for record, _ in records)
        counts = {"zero": n // 2, "one": n - n // 2}
        files = {"contact_sheet": f"{relative}/contact-sheet.png", "index": f"{relative}/dataset.json"}
        sums = {"images": n, "bytes": size, "shards": len(records), "class_counts": counts}
        self.succeed(lease, {"output": relative, **files, **sums, "model": "digits-vae@1"})

    def judged(self, worker: Worker, output: int, metrics: list[dict[str, Any]]) -> int:
        """An evaluate job from submit to numbers."""
        job_id = self.evaluate(output)
        lease = self.claim(worker)

        def publish(session: Session) -> dict[str, Any]:
            row = Evaluation(
                job_id=job_id, output_job_id=output, model_version_id=1, dataset_id=1, image_count=40, metrics=metrics
            )
            session.add(row)
            return {"images": 40}

        self.database.transact(lambda session: finish(session, lease, Outcome.SUCCEEDED, publish=publish))
        return job_id

    def written_shard(self, lease: Lease, number: int, count: int) -> tuple[ShardRecord, Path]:
        """A shard of the attempt, and the folder where it lies."""
        folder = self.root / lease.folder
        random = np.random.default_rng(number)
        first = 20 * number
        batch = ImageBatch(
            first_index=first,
            images=random.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8),
            seeds=np.arange(first, first + count),
            labels=np.arange(first, first + count) % 2,
        )
        meta = ShardMeta(checkpoint_sha256="d" * 64, precision="fp32", seed=0, class_names=CLASSES, label_files=False)
        return write_shard(folder, number, [batch], meta), folder

    def shard_row(self, lease: Lease, record: ShardRecord, folder: str) -> Shard:
        return Shard(
            job_id=lease.job_id,
            task_id=lease.task_id,
            lease_epoch=lease.epoch,
            number=record.number,
            folder=folder,
            record=record.to_json(),
            image_count=record.count,
            size_bytes=record.tar_bytes + record.parquet_bytes,
        )

    def publish_shard(self, lease: Lease, number: int, count: int) -> tuple[ShardRecord, Path]:
        record, folder = self.written_shard(lease, number, count)
        row = self.shard_row(lease, record, lease.folder)
        self.database.transact(lambda session: publish_shard(session, lease, row))
        return record, folder

    def write_lines(self, lease: Lease, name: str, *entries: dict[str, Any]) -> None:
        with (self.root / lease.folder / name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)
