"""Shards: an archive of PNG files, a table of their hashes and offsets, and a marker that commits both.

    shard-000123.tar        000000000.png, 000000001.png, … in WebDataset's order
    shard-000123.parquet    one row an image, with the range of bytes it occupies in the archive
    shard-000123.json       written last: a shard without it does not exist

Equal images and equal ShardMeta give equal bytes in the first two, so that an attempt can be repeated, and compared.
"""

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from pixmill.errors import CorruptFile, StorageError
from storage.atomic import AtomicFile, FileDigest, write_atomic
from storage.faults import named_faults
from storage.manifest import Edit, Integers, ManifestBlock, ShardRow, image_key, manifest_bytes, read_manifest
from storage.markers import ShardMarker, ShardMeta, find_markers, read_marker, write_marker
from storage.png import ENCODER, Encoder, Images, check_images, decode_png, encode_batch
from storage.records import ShardRange, ShardRecord, default_shard_size, shard_plan, shard_stem
from storage.tar import TarWriter, read_at

__all__ = [
    "ImageBatch",
    "ShardMarker",
    "ShardMeta",
    "ShardRange",
    "ShardRecord",
    "ShardRow",
    "ShardWriter",
    "default_shard_size",
    "find_markers",
    "read_images",
    "read_marker",
    "read_rows",
    "read_shard",
    "shard_plan",
    "write_shard",
]

CHUNK_BYTES = 1024 * 1024  # of pixels encoded at a time: memory stays flat whatever the size of a batch


@dataclass(frozen=True)
class ImageBatch:
    """Consecutive images of a data set.

    images: uint8, (N, H, W, C), C = 1 or 3; seeds: integers, (N,); labels: class numbers, (N,), or None; edits: what
    was done to make each, N of them, or None.
    Raises StorageError if types or lengths differ.
    """

    first_index: int
    images: Images
    seeds: Integers
    labels: Integers | None = None
    edits: Sequence[Edit] | None = None

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.edits is not None and len(self.edits) != len(self.images):
            raise StorageError(f"{len(self.images)} images came with {len(self.edits)} edits", hint="one for each")
        for name, values in (("seeds", self.seeds), ("labels", self.labels)):
            if values is None:
                continue
            if values.shape != (len(self.images),) or not np.can_cast(values.dtype, np.int64):
                raise StorageError(
                    f"{len(self.images)} images came with {name} of type {values.dtype} and shape {values.shape}",
                    hint="give one integer that fits 64 signed bits for each image",
                )

    def __len__(self) -> int:
        return len(self.images)

    def chunks(self) -> "Iterator[ImageBatch]":
        """Cut into batches of at most CHUNK_BYTES, one image at least."""
        step = max(1, CHUNK_BYTES // (self.images[:1].nbytes or 1))
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            labels = None if self.labels is None else self.labels[part]
            edits = None if self.edits is None else self.edits[part]
            yield ImageBatch(self.first_index + start, self.images[part], self.seeds[part], labels, edits)


class ShardWriter:
    """Writes one shard, batch by batch; nothing has a final name before `commit`, nothing is left without it."""

    def __init__(self, folder: Path, number: int, meta: ShardMeta, *, encoder: Encoder = ENCODER) -> None:
        self._folder = folder
        self._number = number
        self._meta = meta
        self._encoder = encoder
        self._blocks: list[ManifestBlock] = []
        self._first: ImageBatch | None = None
        self._next_index = 0
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._started = time.perf_counter()
        self._tar_file = AtomicFile(folder / f"{shard_stem(number)}.tar")
        self._tar = TarWriter(self._tar_file.stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar_file.discard()

    def add(self, batch: ImageBatch) -> None:
        """Append images; indexes go on where the last batch ended, shape and labelling stay the same.

        Raises StorageError otherwise, DiskFull if there is no room.
        """
        self._check_follows(batch)
        for chunk in batch.chunks():
            self._append(chunk)

    def commit(self) -> ShardRecord:
        """Give the files their names: archive, table, marker, in this order.

        Raises StorageError if the shard is empty, DiskFull if there is no room.
        """
        if self._first is None:
            raise StorageError(f"{shard_stem(self._number)} is empty", hint="add at least one image before commit")
        with named_faults(self._folder):  # a marker of an earlier attempt must not vouch for what comes now
            (self._folder / f"{shard_stem(self._number)}.json").unlink(missing_ok=True)
        tar = self._finish_tar()
        record = self._record(tar, self._write_manifest(self._first))
        write_marker(self._folder, self._marker(record, self._first))
        return record

    def _check_follows(self, batch: ImageBatch) -> None:
        first = self._first = self._first or batch
        expected = self._next_index if self._blocks else batch.first_index
        if batch.first_index != expected:
            raise StorageError(f"{shard_stem(self._number)} needs image {expected} next, got {batch.first_index}")
        if batch.images.shape[1:] != first.images.shape[1:] or (batch.labels is None) != (first.labels is None):
            raise StorageError(
                f"{shard_stem(self._number)} began with images of shape {first.images.shape[1:]}, "
                f"now got {batch.images.shape[1:]}; all must be of one shape, and all or none labelled"
            )

    def _append(self, batch: ImageBatch) -> None:
        started = time.perf_counter()
        files = encode_batch(batch.images, self._encoder)
        encoded = time.perf_counter()
        digests = [hashlib.sha256(file).digest() for file in files]
        hashed = time.perf_counter()
        offsets = self._append_members(batch, files)
        written = time.perf_counter()
        sizes = [len(file) for file in files]
        block = ManifestBlock(batch.first_index, batch.seeds, batch.labels, digests, offsets, sizes, batch.edits)
        self._blocks.append(block)
        self._next_index = batch.first_index + len(batch)
        self._seconds["encode_seconds"] += encoded - started
        self._seconds["hash_seconds"] += hashed - encoded
        self._seconds["write_seconds"] += written - hashed

    def _append_members(self, batch: ImageBatch, files: list[bytes]) -> list[int]:
        keys = [image_key(batch.first_index + position) for position in range(len(batch))]
        names = [f"{key}.png" for key in keys]
        with named_faults(self._tar_file.path):
            if not self._meta.label_files or batch.labels is None:
                return self._tar.add(names, files)
            label_names = [f"{key}.cls" for key in keys]
            labels = [str(label).encode() for label in batch.labels.tolist()]
            # WebDataset joins neighbours of one key into one sample.
            members = [member for pair in zip(names, label_names, strict=True) for member in pair]
            payloads = [payload for pair in zip(files, labels, strict=True) for payload in pair]
            return self._tar.add(members, payloads)[::2]

    def _finish_tar(self) -> FileDigest:
        started = time.perf_counter()
        with named_faults(self._tar_file.path):
            self._tar.finish()
        digest = self._tar_file.publish()
        self._seconds["sync_seconds"] = time.perf_counter() - started
        return digest

    def _write_manifest(self, first: ImageBatch) -> FileDigest:
        started = time.perf_counter()
        _, height, width, _ = first.images.shape
        encoder = {"name": self._encoder.name, "version": self._encoder.version}
        table = manifest_bytes(self._blocks, width, height, self._meta, encoder)
        digest = write_atomic(self._folder / f"{shard_stem(self._number)}.parquet", table)
        self._seconds["manifest_seconds"] = time.perf_counter() - started
        return digest

    def _record(self, tar: FileDigest, parquet: FileDigest) -> ShardRecord:
        first_index = self._blocks[0].first_index
        count = self._next_index - first_index
        return ShardRecord(
            self._number, first_index, count, tar.sha256, tar.size_bytes, parquet.sha256, parquet.size_bytes
        )

    def _marker(self, record: ShardRecord, first: ImageBatch) -> ShardMarker:
        _, height, width, channels = first.images.shape
        total_seconds = time.perf_counter() - self._started
        timings = dict(self._seconds) | {"total_seconds": total_seconds}
        encoder = self._encoder
        return ShardMarker(
            record, self._meta, height, width, channels, encoder.name, encoder.version, _rounded(timings)
        )


def write_shard(
    folder: Path,
    number: int,
    batches: Iterable[ImageBatch],
    meta: ShardMeta,
    *,
    expected_count: int | None = None,
    encoder: Encoder = ENCODER,
) -> ShardRecord:
    """Write a whole shard from a stream of batches, of which one at a time is held.

    Raises StorageError if the batches do not follow one another or are not `expected_count` images, DiskFull if there
    is no room; the folder then holds no part of the shard.
    """
    with ShardWriter(folder, number, meta, encoder=encoder) as writer:
        count = 0
        for batch in batches:
            writer.add(batch)
            count += len(batch)
        if expected_count is not None and count != expected_count:
            raise StorageError(f"{shard_stem(number)} must hold {expected_count} images, {count} came")
        return writer.commit()


def read_rows(folder: Path, number: int) -> list[ShardRow]:
    """Rows of shard `number`, by index; raises CorruptFile if its table is missing or damaged."""
    return read_manifest(folder / f"{shard_stem(number)}.parquet")


def read_shard(folder: Path, number: int) -> Iterator[tuple[ShardRow, bytes]]:
    """Yield each row of a shard with its PNG file.

    Raises CorruptFile if a file is missing or damaged, or an image's bytes do not have the hash in its row.
    """
    yield from _read(folder, number, read_rows(folder, number))


def read_images(
    folder: Path, number: int, *, start: int = 0, count: int | None = None
) -> tuple[Images, npt.NDArray[np.int64] | None]:
    """Pixels and labels of `count` images of a shard (all by default), from its image `start` on.

    Returns uint8 images (N, H, W, C) and int64 labels (N,), or None for images without. Raises CorruptFile as
    read_shard, and StorageError if the range holds no image.
    """
    stop = None if count is None else start + count
    rows = read_rows(folder, number)[start:stop]
    if not rows:
        raise StorageError(f"{shard_stem(number)} has no images from {start} to {stop}")
    images = np.stack([_pixels(row, file) for row, file in _read(folder, number, rows)])
    labels = [row.label for row in rows if row.label is not None]
    return images, np.array(labels, np.int64) if len(labels) == len(rows) else None


def read_payload(file: BufferedIOBase, row: ShardRow) -> bytes:
    """Return the bytes of one image of an open archive; raises CorruptFile if they are not those of its row."""
    size_bytes = os.fstat(file.fileno()).st_size
    if row.offset < 0 or row.size < 1 or row.offset + row.size > size_bytes:
        raise CorruptFile(f"image {row.index} lies at {row.offset} + {row.size}, the archive has {size_bytes:,} bytes")
    payload = read_at(file, row.offset, row.size)
    if hashlib.sha256(payload).digest() != row.sha256:
        raise CorruptFile(f"image {row.index} has changed: its SHA-256 is not the one in the table")
    return payload


def _read(folder: Path, number: int, rows: list[ShardRow]) -> Iterator[tuple[ShardRow, bytes]]:
    path = folder / f"{shard_stem(number)}.tar"
    if not path.exists():
        raise CorruptFile(f"{path} is missing", hint="make the shard again")
    with named_faults(path, "read"), path.open("rb") as file:
        for row in rows:
            try:
                payload = read_payload(file, row)
            except CorruptFile as error:
                raise CorruptFile(f"{path}: {error.message}", hint="make the shard again") from error
            yield row, payload


def _pixels(row: ShardRow, file: bytes) -> Images:
    pixels = decode_png(file)
    if pixels.shape[:2] != (row.height, row.width):
        raise CorruptFile(f"image {row.index} is {pixels.shape[1]} × {pixels.shape[0]}, its row says otherwise")
    return pixels


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in seconds.items()}
