"""Shards: files of images, a table of their hashes and offsets, and a marker that commits both.

    shard-000123.tar        000000000.png, 000000001.png, … in WebDataset's order; or what another format has
    shard-000123.parquet    one row an image, with the range of bytes it occupies in the archive
    shard-000123.json       written last: a shard without it does not exist

Equal images and equal ShardMeta give equal bytes in the first two, so that an attempt can be repeated, and compared.
"""

import hashlib
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from pixmill.errors import CorruptFile, StorageError
from storage.atomic import TEMPORARY_SUFFIX, FileDigest, write_atomic
from storage.batches import CHUNK_BYTES, FileBatch, ImageBatch, digests_of
from storage.encoders import decode
from storage.faults import named_faults
from storage.formats.base import Beginning, ImageReader
from storage.formats.table import FORMATS
from storage.manifest import ManifestBlock, ShardRow, manifest_bytes, read_manifest
from storage.markers import ShardMarker, ShardMeta, read_marker, write_marker
from storage.places import Place, at_hand, named
from storage.png import ENCODER, Encoder, Images, encode_batch
from storage.records import WEBDATASET, ShardRange, ShardRecord, default_shard_size, shard_plan, shard_stem

__all__ = [
    "CHUNK_BYTES",
    "FileBatch",
    "ImageBatch",
    "ShardMarker",
    "ShardMeta",
    "ShardRange",
    "ShardRecord",
    "ShardRow",
    "ShardWriter",
    "default_shard_size",
    "discard_torn",
    "read_images",
    "read_marker",
    "read_rows",
    "read_shard",
    "shard_plan",
    "write_shard",
]

Writing = Callable[[Mapping[str, float]], AbstractContextManager[object]]


class ShardWriter:
    """Writes one shard, batch by batch; nothing has a final name before `commit`, nothing is left without it."""

    def __init__(
        self,
        folder: Path,
        number: int,
        meta: ShardMeta,
        *,
        encoder: Encoder = ENCODER,
        format_name: str = WEBDATASET,
        expected_count: int | None = None,
    ) -> None:
        self._folder = folder
        self._number = number
        self._meta = meta
        self._encoder = encoder
        self._format = format_name
        self._expected_count = expected_count
        self._blocks: list[ManifestBlock] = []
        self._first: ImageBatch | FileBatch | None = None
        self._next_index = 0
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._started = time.perf_counter()
        beginning = Beginning(folder=folder, number=number, meta=meta, ending=encoder.ending, count=expected_count)
        self._images = FORMATS[format_name].begin(beginning)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._images.discard()

    @property
    def seconds(self) -> Mapping[str, float]:
        """What has taken how long so far, as the marker will say."""
        return self._seconds

    def add(self, batch: ImageBatch | FileBatch) -> None:
        """Append images, or files of them; indexes go on where the last batch ended, shape and labelling stay the same.

        Raises StorageError otherwise, DiskFull if there is no room.
        """
        self._check_follows(batch)
        if isinstance(batch, FileBatch):
            return self._append(batch)
        for chunk in batch.chunks():
            self._append(self._encoded(chunk))
        return None

    def commit(self, other_seconds: Mapping[str, float] | None = None) -> ShardRecord:
        """Give the files their names: images, table, marker, in this order.

        The marker's timings also tell `other_seconds`, what others have spent on the shard. Raises StorageError if the
        shard is empty or does not hold as many images as were expected, DiskFull if there is no room.
        """
        if self._first is None:
            raise StorageError(f"{shard_stem(self._number)} is empty", hint="add at least one image before commit")
        count = self._next_index - self._first.first_index
        if self._expected_count not in (None, count):
            raise StorageError(f"{shard_stem(self._number)} must hold {self._expected_count} images, {count} came")
        self._seconds.update(other_seconds or {})
        with named_faults(self._folder):  # a marker of an earlier attempt must not vouch for what comes now
            (self._folder / f"{shard_stem(self._number)}.json").unlink(missing_ok=True)
        images = self._finish_images()
        record = self._record(images, self._write_manifest(self._first))
        write_marker(self._folder, self._marker(record, self._first))
        return record

    def _check_follows(self, batch: ImageBatch | FileBatch) -> None:
        first = self._first = self._first or batch
        expected = self._next_index if self._blocks else batch.first_index
        if batch.first_index != expected:
            raise StorageError(f"{shard_stem(self._number)} needs image {expected} next, got {batch.first_index}")
        if batch.shape != first.shape or (batch.labels is None) != (first.labels is None):
            raise StorageError(
                f"{shard_stem(self._number)} began with images of shape {first.shape}, "
                f"now got {batch.shape}; all must be of one shape, and all or none labelled"
            )

    def _encoded(self, batch: ImageBatch) -> FileBatch:
        started = time.perf_counter()
        files = encode_batch(batch.images, self._encoder)
        encoded = time.perf_counter()
        digests = digests_of(files)
        self._seconds["encode_seconds"] += encoded - started
        self._seconds["hash_seconds"] += time.perf_counter() - encoded
        facts = (batch.seeds, batch.labels, batch.edits, batch.choices)
        return FileBatch(batch.first_index, batch.shape, files, digests, *facts)

    def _append(self, batch: FileBatch) -> None:
        started = time.perf_counter()
        offsets = self._images.add(batch.encoded)
        self._seconds["write_seconds"] += time.perf_counter() - started
        sizes = [len(file) for file in batch.files]
        facts = (batch.edits, batch.choices)
        block = ManifestBlock(batch.first_index, batch.seeds, batch.labels, batch.digests, offsets, sizes, *facts)
        self._blocks.append(block)
        self._next_index = batch.first_index + len(batch)

    def _finish_images(self) -> FileDigest:
        started = time.perf_counter()
        digest = self._images.finish()
        self._seconds["sync_seconds"] = time.perf_counter() - started
        return digest

    def _write_manifest(self, first: ImageBatch | FileBatch) -> FileDigest:
        started = time.perf_counter()
        height, width, _ = first.shape
        encoder = {"name": self._encoder.name, "version": self._encoder.version}
        table = manifest_bytes(self._blocks, width, height, self._meta, encoder)
        digest = write_atomic(self._folder / f"{shard_stem(self._number)}.parquet", table)
        self._seconds["manifest_seconds"] = time.perf_counter() - started
        return digest

    def _record(self, images: FileDigest, parquet: FileDigest) -> ShardRecord:
        first_index = self._blocks[0].first_index
        return ShardRecord(
            number=self._number,
            first_index=first_index,
            count=self._next_index - first_index,
            tar_sha256=images.sha256,
            tar_bytes=images.size_bytes,
            parquet_sha256=parquet.sha256,
            parquet_bytes=parquet.size_bytes,
            format=self._format,
            ending=self._encoder.ending,
        )

    def _marker(self, record: ShardRecord, first: ImageBatch | FileBatch) -> ShardMarker:
        height, width, channels = first.shape
        total_seconds = time.perf_counter() - self._started
        seconds = {**self._seconds, "total_seconds": total_seconds}
        timings = {name: round(value, 6) for name, value in seconds.items()}
        encoder = self._encoder
        return ShardMarker(record, self._meta, height, width, channels, encoder.name, encoder.version, timings)


def write_shard(
    folder: Path,
    number: int,
    batches: Iterable[ImageBatch | FileBatch],
    meta: ShardMeta,
    *,
    expected_count: int | None = None,
    encoder: Encoder = ENCODER,
    format_name: str = WEBDATASET,
    writing: Writing = nullcontext,
    other_seconds: Mapping[str, float] | None = None,
) -> ShardRecord:
    """Write a whole shard from a stream of batches, of which one at a time is held.

    Whatever gives the batches is asked for the next one when the last one is written. `writing` is entered with the
    writer's seconds, live, around all that is written; `other_seconds` are those of `ShardWriter.commit`.

    Raises StorageError if the batches do not follow one another or are not `expected_count` images, which format `raw`
    has to be told, DiskFull if there is no room; the folder then holds no part of the shard.
    """
    with ShardWriter(
        folder, number, meta, encoder=encoder, format_name=format_name, expected_count=expected_count
    ) as writer:
        for batch in batches:
            with writing(writer.seconds):
                writer.add(batch)
        with writing(writer.seconds):
            return writer.commit(other_seconds)


def discard_torn(folder: Path, number: int) -> None:
    """Remove what a process that was killed has left of a shard, under names that are not final."""
    with named_faults(folder, "remove"):
        for path in folder.glob(f".{shard_stem(number)}.*{TEMPORARY_SUFFIX}"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def read_rows(place: Place, number: int) -> list[ShardRow]:
    """Rows of shard `number`, by index; raises CorruptFile if its table is missing or damaged."""
    file = f"{shard_stem(number)}.parquet"
    return read_manifest(at_hand(place, number, "parquet") / file, named(place, number, file))


def read_shard(place: Place, number: int, indexes: Container[int] | None = None) -> Iterator[tuple[ShardRow, bytes]]:
    """Yield each row of a shard, or those of images of these numbers, with its file, or the pixels that stand for one.

    Raises CorruptFile if a file is missing or damaged, or an image's bytes do not have the hash in its row.
    """
    rows = [row for row in read_rows(place, number) if indexes is None or row.index in indexes]
    yield from _read(place, read_marker(place, number).record, rows)


def read_images(
    place: Place, number: int, *, start: int = 0, count: int | None = None
) -> tuple[Images, npt.NDArray[np.int64] | None]:
    """Pixels and labels of `count` images of a shard (all by default), from its image `start` on.

    Returns uint8 images (N, H, W, C) and int64 labels (N,), or None for images without. Raises CorruptFile as
    read_shard, and StorageError if the range holds no image.
    """
    stop = None if count is None else start + count
    rows = read_rows(place, number)[start:stop]
    if not rows:
        raise StorageError(f"{shard_stem(number)} has no images from {start} to {stop}")
    marker = read_marker(place, number)
    images = np.stack([decode_row(row, file, marker) for row, file in _read(place, marker.record, rows)])
    labels = [row.label for row in rows if row.label is not None]
    return images, np.array(labels, np.int64) if len(labels) == len(rows) else None


def read_payload(reader: ImageReader, row: ShardRow) -> bytes:
    """Return the bytes of one image of an open shard; raises CorruptFile if they are not those of its row."""
    payload = reader.read(row)
    if hashlib.sha256(payload).digest() != row.sha256:
        raise CorruptFile(f"image {row.index} has changed: its SHA-256 is not the one in the table")
    return payload


def decode_row(row: ShardRow, file: bytes, marker: ShardMarker) -> Images:
    """Pixels of one image of a shard, (H, W, C).  Raises CorruptFile if they are not what the row says."""
    try:
        return decode(file, marker.record.ending, row.height, row.width, marker.channels)
    except CorruptFile as error:
        raise CorruptFile(f"image {row.index}: {error.message}") from error


def _read(place: Place, record: ShardRecord, rows: list[ShardRow]) -> Iterator[tuple[ShardRow, bytes]]:
    folder = at_hand(place, record.number, "tar", "parquet")
    with FORMATS[record.format].open(folder, record) as reader:
        for row in rows:
            try:
                payload = read_payload(reader, row)
            except CorruptFile as error:
                path = named(place, record.number, record.tar)
                raise CorruptFile(f"{path}: {error.message}", hint="make the shard again") from error
            yield row, payload
