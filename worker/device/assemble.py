"""The last task of a generate, animate or restore job: its published shards become one data set in one folder."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pixmill.specs import AnimateSpec, EditSpec, RestoreSpec, Spec, parse_spec
from storage.cards import stored_as, write_card
from storage.markers import read_marker
from storage.outputs import link_shard, write_dataset_index
from storage.pictures import contact_sheet, save_png
from storage.shards import ShardRecord, ShardRow, read_images, read_rows
from worker.assignment import Assignment, ShardInput
from worker.device.animations import write_animations
from worker.device.desk import Desk
from worker.device.restore import judge
from worker.device.tally import tallied
from worker.device.warm import WarmModels

log = logging.getLogger("job")

SHEET_IMAGES = 100
WIDEST_ROW = 50  # frames of an animation


def run_assemble(desk: Desk, _warm: WarmModels) -> dict[str, Any]:
    """Link the shards into outputs/, write dataset.json and pictures; gives what the job shows of itself."""
    assignment = desk.assignment
    output = desk.layout.output_folder(assignment.job_id)
    records = _link_all(desk, assignment, output)
    assert assignment.model is not None
    models = " + ".join(one.reference for one in (assignment.model, *assignment.further_models))
    made_from = {"model": models, "dataset_fingerprint": assignment.model.dataset_fingerprint}
    spec = parse_spec(assignment.spec)
    animations = write_animations(desk, output, records, spec) if isinstance(spec, AnimateSpec) else {}
    meta = read_marker(output, records[0].number).meta
    special = {name: dict(facts) for name, facts in (("edit", meta.edit), ("choice", meta.choice)) if facts is not None}
    stored = stored_as(records)
    index = write_dataset_index(
        output, records, name=assignment.job_name, details=made_from | animations | special | stored
    )
    write_card(output, index)
    if isinstance(spec, RestoreSpec):
        picture, judged = judge(desk, output, records, spec)
    else:
        picture, judged = _contact_sheet(desk, assignment, _columns(spec, index.class_names)), {}
    sheet = _linked(picture, assignment, output)
    tally = tallied(_rows(desk, output, records), meta.choice)
    return {
        "output": desk.layout.relative(output),
        "index": desk.layout.relative(output / "dataset.json"),
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


def _link_all(desk: Desk, assignment: Assignment, output: Path) -> list[ShardRecord]:
    records = []
    for done, shard in enumerate(assignment.shards):
        desk.check_stop()
        record = ShardRecord.from_json(shard.record)
        link_shard(record, desk.layout.resolve(shard.folder), output)
        records.append(record)
        desk.progress("assembling", 0, 1, share=(done + 1) / len(assignment.shards))
    return records


def _contact_sheet(desk: Desk, assignment: Assignment, columns: int) -> Path:
    first = _first_images(assignment.shards, desk, SHEET_IMAGES // columns * columns)
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


def _first_images(shards: tuple[ShardInput, ...], desk: Desk, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    found: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    for shard in shards:
        if sum(len(images) for images in found) >= count:
            break
        record = ShardRecord.from_json(shard.record)
        images, _labels = read_images(desk.layout.resolve(shard.folder), record.number, count=count)
        found.append(images)
    return np.concatenate(found)[:count]


def _rows(desk: Desk, output: Path, records: list[ShardRecord]) -> Iterator[ShardRow]:
    for record in records:
        desk.check_stop()
        yield from read_rows(output, record.number)
