"""A short history with everything in it that the checker looks at, made by the product's own functions and real files.

Job 1 trains a model: its first attempt is lost after a checkpoint, its second one succeeds. Job 2 makes thirty images
in three shards: its first attempt is lost after one of them. Both are assembled, published and sound.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from db.engine import Database
from db.jobs import NewTask
from db.leases import Lease, finish, lose, publish_checkpoint, publish_shard
from db.tables.fleet import Worker
from db.tables.jobs import Outcome, Role
from db.tables.published import Checkpoint, CheckpointKind
from db.views import job_shards
from imagemodels.card import Metadata
from imagemodels.export import save_model
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from storage.atomic import write_atomic
from storage.checkpoints import save_checkpoint
from storage.outputs import link_shard, write_dataset_index
from storage.paths import Layout
from storage.records import ShardRecord
from storage.shards import ImageBatch, ShardMeta, write_shard
from tests.faults.witness import install_witness
from tests.rows import act, add, add_worker, claimed, queue
from worker.device.journal import Journal
from worker.parent.inputs import shard_row
from worker.parent.publishing import publisher

KEYS = {"first": 1, "second": 2}  # what was submitted, and the job ids that were acknowledged
SHARD_IMAGES = 10
SHARDS = 3
_TASKS = (
    NewTask(role=Role.GENERATE, params={"first_shard": 0, "shards": SHARDS}),
    NewTask(role=Role.ASSEMBLE, params={}, after=(0,)),
)


def tell(database: Database, root: Path) -> None:
    """Make it all happen."""
    root.mkdir(exist_ok=True)
    install_witness(database)
    worker = add_worker(database)
    layout = Layout(root)
    _train(database, layout, worker)
    _generate(database, layout, worker)


def _train(database: Database, layout: Layout, worker: Worker) -> None:
    add(database, key="first", name="model")
    lost = _claim(database, worker)
    journal = _begin(layout, lost, "train")
    journal.add("resumed", path=None, images_seen=0)
    path = _checkpoint(database, layout, lost, journal, 100)
    journal.close()
    act(database, lose, lost, "killed", max_lost_leases=3)
    won = _claim(database, worker)
    journal = _begin(layout, won, "train")
    journal.add("resumed", path=path, images_seen=100)
    _checkpoint(database, layout, won, journal, 200)
    result = _model(layout, won)
    journal.add("end", how="succeeded", reason=None)
    journal.close()
    publish = publisher(won.role)
    assert publish is not None
    act(database, finish, won, Outcome.SUCCEEDED, publish=lambda session: publish(session, won, result))


def _claim(database: Database, worker: Worker) -> Lease:
    queue(database)
    return claimed(database, worker)


def _begin(layout: Layout, lease: Lease, role: str) -> Journal:
    folder = layout.resolve(lease.folder)
    folder.mkdir(parents=True)
    journal = Journal(folder)
    journal.add("begin", role=role, epoch=lease.epoch, pid=1, device="cpu")
    return journal


def _checkpoint(database: Database, layout: Layout, lease: Lease, journal: Journal, images: int) -> str:
    content = b"a state after %d images" % images
    saved = save_checkpoint(
        layout, layout.resolve(lease.folder), f"state-{images:09d}.pt", lambda file: file.write(content)
    )
    journal.add("checkpoint", kind="last", path=saved.path, sha256=saved.sha256, images_seen=images)
    row = {"task_id": lease.task_id, "lease_epoch": lease.epoch, "kind": CheckpointKind.LAST, "images_seen": images}
    files = {"path": saved.path, "sha256": saved.sha256, "size_bytes": saved.size_bytes}
    act(database, publish_checkpoint, lease, Checkpoint(**row, **files))
    return saved.path


def _model(layout: Layout, lease: Lease) -> dict[str, Any]:
    torch.manual_seed(0)
    network = ConvDecoder(ConvDecoderSpec(image_size=8, channels=1, latent_size=2, width=2, num_classes=0))
    model = Generator(network, Runtime(threads=1))
    metadata = Metadata(
        preset="vae", images_seen=200, seed=0, class_names=(), dataset="digits", dataset_fingerprint="f" * 64
    )
    folder = layout.resolve(lease.folder) / "model"
    save_model(folder, model, metadata)
    return {
        "folder": layout.relative(folder),
        "digest": model.digest,
        "preset": "vae",
        "image_size": 8,
        "channels": 1,
        "classes": [],
        "images_seen": 200,
        "best_images_seen": None,
        "metric": None,
        "dataset": {"name": "digits", "description": {"fingerprint": "f" * 64}},
        "lineage": {},
    }


def _generate(database: Database, layout: Layout, worker: Worker) -> None:
    spec = {"kind": "generate", "model": "model@1", "n": SHARDS * SHARD_IMAGES, "shard_size": SHARD_IMAGES}
    images = SHARDS * SHARD_IMAGES
    job_id = add(database, key="second", kind="generate", spec=spec, tasks=_TASKS, progress_total=images)
    lost = _claim(database, worker)
    _make_shards(database, layout, lost, range(1))
    act(database, lose, lost, "killed", max_lost_leases=3)
    won = _claim(database, worker)
    _make_shards(database, layout, won, range(1, SHARDS))
    act(database, finish, won, Outcome.SUCCEEDED, result={})
    last = _claim(database, worker)
    result = _assemble(database, layout, last, job_id)
    act(database, finish, last, Outcome.SUCCEEDED, result=result)


def _make_shards(database: Database, layout: Layout, lease: Lease, numbers: range) -> None:
    journal = _begin(layout, lease, "generate")
    meta = ShardMeta(checkpoint_sha256="c" * 64, precision="fp32", seed=0)
    for number in numbers:
        first = number * SHARD_IMAGES
        images = np.full((SHARD_IMAGES, 8, 8, 1), number, dtype=np.uint8)
        batch = ImageBatch(first, images, np.zeros(SHARD_IMAGES, dtype=np.int64))
        record = write_shard(layout.resolve(lease.folder), number, [batch], meta)
        journal.add("shard", number=number, tar_sha256=record.tar_sha256)
        act(database, publish_shard, lease, shard_row(lease, record.to_json(), lease.folder))
    journal.close()


def _assemble(database: Database, layout: Layout, lease: Lease, job_id: int) -> dict[str, Any]:
    _begin(layout, lease, "assemble").close()
    output = layout.output_folder(job_id)
    with database.read() as session:
        rows = job_shards(session, job_id)
    records = [ShardRecord.from_json(row.record) for row in rows]
    for row, record in zip(rows, records, strict=True):
        link_shard(record, layout.resolve(row.folder), output)
    write_dataset_index(output, records, name="images", details={})
    write_atomic(output / "contact-sheet.png", b"a picture")
    named = {"output": output, "index": output / "dataset.json", "contact_sheet": output / "contact-sheet.png"}
    paths = {name: layout.relative(path) for name, path in named.items()}
    return {**paths, "images": sum(record.count for record in records)}
