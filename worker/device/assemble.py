"""The last task of a generate, animate or restore job: its published shards become one data set in one folder.

Shards in a bucket stay where they are: dataset.json, which comes to lie above them, names their places.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixmill.aliases import ALIASES_KEY, aliases_of_task
from pixmill.specs import AnimateSpec, EditSpec, RestoreSpec, Spec, parse_spec
from storage.atomic import TEMPORARY_SUFFIX
from storage.cards import stored_as, write_card
from storage.faults import named_faults
from storage.first_images import read_first_images
from storage.markers import read_marker
from storage.outputs import link_shard, write_dataset_index
from storage.pictures import contact_sheet, save_png
from storage.places import INDEX_FILE, BucketDataset, Place
from storage.shards import ShardRecord, ShardRow, read_rows
from worker.assignment import Assignment
from worker.device.animations import write_animations
from worker.device.desk import Desk
from worker.device.restore import judge
from worker.device.tally import tallied
from worker.device.warm import WarmModels

log = logging.getLogger("job")

BESIDE = f".beside{TEMPORARY_SUFFIX}"  # by its name garbage collection knows what a killed process has left
SHEET_IMAGES = 100
WIDEST_ROW = 50  # frames of an animation


def run_assemble(desk: Desk, _warm: WarmModels) -> dict[str, Any]:
    """Link the shards into outputs/, write dataset.json and pictures; gives what the job shows of itself."""
    assignment = desk.assignment
    # Of a data set in a bucket, what comes to lie beside the shards; it is sent when all is there.
    output = desk.folder / BESIDE if desk.bucket else desk.layout.output_folder(assignment.job_id)
    place = desk.bucket or output
    records = [ShardRecord.from_json(shard.record) for shard in assignment.shards]
    if not desk.bucket:
        _link_all(desk, records, output)
    assert assignment.model is not None
    models = " + ".join(one.reference for one in (assignment.model, *assignment.further_models))
    made_from: dict[str, Any] = {"model": models, "dataset_fingerprint": assignment.model.dataset_fingerprint}
    spec = parse_spec(assignment.spec)
    animations = write_animations(desk, output, place, records, spec) if isinstance(spec, AnimateSpec) else {}
    meta = read_marker(place, records[0].number).meta
    special = {name: dict(facts) for name, facts in (("edit", meta.edit), ("choice", meta.choice)) if facts is not None}
    named_by = aliases_of_task(assignment.params)
    made_from |= {ALIASES_KEY: named_by} if named_by else {}
    stored = stored_as(records)
    index = write_dataset_index(
        output, records, name=assignment.job_name, details=made_from | animations | special | stored, place=place
    )
    write_card(output, index)
    if isinstance(spec, RestoreSpec):
        picture, judged = judge(desk, place, records, spec)
    else:
        picture, judged = _contact_sheet(desk, assignment, _columns(spec, index.class_names)), {}
    sheet = _linked(picture, assignment, output)
    tally = tallied(_rows(desk, place, records), meta.choice)
    folder = desk.layout.relative(output)
    if desk.bucket:
        _send(desk, desk.bucket, output)
        folder, sheet = desk.bucket.url, picture
    return {
        "output": folder,
        "index": f"{folder}/{INDEX_FILE}",
        "contact_sheet": desk.layout.relative(sheet),
        "images": sum(record.count for record in records),
        "bytes": sum(record.tar_bytes + record.parquet_bytes for record in records),
        "shards": len(records),
        "class_counts": tally.counts(index.class_names),
        "choices": tally.choices(index.class_names),
        "warnings": tally.warnings,
        "model": models,
        "animations": spec.n if isinstance(spec, AnimateSpec) else None,
        **judged,
        **special,
        **stored,
    }


def _link_all(desk: Desk, records: list[ShardRecord], output: Path) -> None:
    for done, (shard, record) in enumerate(zip(desk.assignment.shards, records, strict=True)):
        desk.check_stop()
        link_shard(record, desk.layout.resolve(shard.folder), output)
        desk.progress("assembling", 0, 1, share=(done + 1) / len(records))


def _send(desk: Desk, bucket: BucketDataset, folder: Path) -> None:
    bucket.put_beside(folder, lambda _size_bytes: desk.measuring("uploading", 0.0))
    with named_faults(folder, "remove"):
        shutil.rmtree(folder)


def _contact_sheet(desk: Desk, assignment: Assignment, columns: int) -> Path:
    shards = ((desk.place_of(shard), ShardRecord.from_json(shard.record).number) for shard in assignment.shards)
    first, _labels = read_first_images(shards, SHEET_IMAGES // columns * columns)
    sheet = desk.folder / "contact-sheet.png"
    save_png(sheet, contact_sheet(first, columns=columns))
    return sheet


def _linked(sheet: Path, assignment: Assignment, output: Path) -> Path:
    """The picture, in the folder of the data set too."""
    target = output / sheet.name
    # Through a name of its own, so that a reader never sees a missing sheet.
    fresh = output / f".{sheet.name}.{assignment.task_id}.{assignment.epoch}"
    fresh.unlink(missing_ok=True)
    os.link(sheet, fresh)
    fresh.replace(target)
    return target


def _columns(spec: Spec, classes: tuple[str, ...]) -> int:
    """As many columns as frames, images of an edit, or classes, so that rows or columns mean something; else ten."""
    each = spec.frames_each if isinstance(spec, AnimateSpec) else 0
    each = spec.images_each if isinstance(spec, EditSpec) else each
    if 0 < each <= WIDEST_ROW:
        return each
    return len(classes) if 5 <= len(classes) <= 16 else 10


def _rows(desk: Desk, place: Place, records: list[ShardRecord]) -> Iterator[ShardRow]:
    for record in records:
        desk.check_stop()
        yield from read_rows(place, record.number)
