"""A data set written anew into a folder, in the format that somebody needs: the same images, the same rows."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pixmill.errors import UserError
from pixmill.specs.formats import MAX_FILES
from storage.animations import ANIMATIONS_FILE, read_animation_index
from storage.atomic import write_atomic
from storage.batches import EncodedBatch
from storage.cards import stored_as, write_card
from storage.encoders import PIXELS, find_encoder
from storage.faults import named_faults
from storage.formats.base import Beginning
from storage.formats.table import FORMATS
from storage.index import DatasetIndex, read_dataset_index, write_dataset_index
from storage.manifest import ShardRow, retold_manifest
from storage.markers import ShardMarker, read_marker, write_marker
from storage.places import Place, at_hand, beside
from storage.png import Encoder
from storage.records import ShardRecord
from storage.shards import decode_row, read_shard

CHUNK_IMAGES = 256  # held at a time
STORAGE_DETAILS = ("format", "lossy")

Progress = Callable[[int, int], None]  # images written, images in all


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How the images are to be stored."""

    format_name: str
    encoder: Encoder | None = None  # None: image files stay as they are, and pixels become PNG files
    label_files: bool = False


def export_dataset(
    source: Place, records: Sequence[ShardRecord], target: Path, wanted: Wanted, progress: Progress | None = None
) -> DatasetIndex:
    """Write a finished data set into `target`, every image checked by its hash; dataset.json comes last.

    Raises UserError when `target` holds anything, or there are too many images for the format, CorruptFile when an
    image is not the one recorded, and DiskFull.
    """
    total = sum(record.count for record in records)
    _require_fit(target, wanted, total)
    index = read_dataset_index(beside(source))
    written: list[ShardRecord] = []
    for record in sorted(records, key=lambda record: record.number):
        written.append(_export_shard(source, record, target, wanted))
        if progress:
            progress(sum(done.count for done in written), total)
    details = {name: value for name, value in index.details.items() if name not in STORAGE_DETAILS}
    if "animations" in details:
        _copy_animations(beside(source), target)
    copy = write_dataset_index(target, written, name=index.name, details=details | stored_as(written))
    write_card(target, copy)
    return copy


def _require_fit(target: Path, wanted: Wanted, images: int) -> None:
    if wanted.format_name == "files" and images > MAX_FILES:
        raise UserError(
            f"format files is for at most {MAX_FILES:,} images; there are {images:,}", hint="choose another"
        )
    with named_faults(target, "read"):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is not an empty folder", hint="name one that is not there yet")


def _export_shard(source: Place, record: ShardRecord, target: Path, wanted: Wanted) -> ShardRecord:
    marker = read_marker(source, record.number)
    encoder = _new_encoder(marker, wanted)
    meta = replace(marker.meta, label_files=wanted.label_files)
    ending = encoder.ending if encoder else record.ending
    beginning = Beginning(folder=target, number=record.number, meta=meta, ending=ending, count=record.count)
    writer = FORMATS[wanted.format_name].begin(beginning)
    digests: list[bytes] = []
    offsets: list[int] = []
    sizes: list[int] = []
    try:
        for batch in _batches(source, marker, encoder):
            offsets += writer.add(batch)
            digests += [hashlib.sha256(file).digest() for file in batch.files]
            sizes += [len(file) for file in batch.files]
        images = writer.finish()
    finally:
        writer.discard()
    named = (encoder.name, encoder.version) if encoder else (marker.encoder, marker.encoder_version)
    facts = {"name": named[0], "version": named[1]}
    given = at_hand(source, record.number, "parquet") / record.parquet
    table = retold_manifest(given, meta, facts, digests, offsets, sizes)
    parquet = write_atomic(target / record.parquet, table)
    new = replace(
        record,
        tar_sha256=images.sha256,
        tar_bytes=images.size_bytes,
        parquet_sha256=parquet.sha256,
        parquet_bytes=parquet.size_bytes,
        format=wanted.format_name,
        ending=ending,
    )
    write_marker(target, replace(marker, record=new, meta=meta, encoder=named[0], encoder_version=named[1]))
    return new


def _new_encoder(marker: ShardMarker, wanted: Wanted) -> Encoder | None:
    """What makes new files of the images; None when those that are there will do."""
    if wanted.format_name == "raw":
        return None if marker.record.ending == PIXELS else find_encoder(PIXELS)
    if wanted.encoder is not None:
        return None if wanted.encoder.name == marker.encoder else wanted.encoder
    return find_encoder(None) if marker.record.ending == PIXELS else None


def _batches(source: Place, marker: ShardMarker, encoder: Encoder | None) -> Iterator[EncodedBatch]:
    shape = (marker.height, marker.width, marker.channels)
    images = read_shard(source, marker.record.number)
    while chunk := list(islice(images, CHUNK_IMAGES)):
        files = [file for _row, file in chunk]
        if encoder is not None:
            files = encoder.encode(np.stack([decode_row(row, file, marker) for row, file in chunk]))
        yield EncodedBatch(chunk[0][0].index, shape, files, _labels([row for row, _file in chunk]))


def _labels(rows: Sequence[ShardRow]) -> list[int] | None:
    labels = [row.label for row in rows if row.label is not None]
    return labels if len(labels) == len(rows) else None


def _copy_animations(source: Path, target: Path) -> None:
    names = [name for record in read_animation_index(source) for name in record.files]
    for name in (*names, ANIMATIONS_FILE):
        with named_faults(source / name, "read"):
            content = (source / name).read_bytes()
        write_atomic(target / name, content)
