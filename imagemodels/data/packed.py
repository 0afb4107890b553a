"""Decoded images of large data sets in files, made once and read in place by every later attempt and job.

    <folder>/<fingerprint>/pixels.u8        uint8 (N, H, W, C), the images one after the other
                           labels.npy       int64 (N,), absent without classes
                           held_out.npy     bool (N,)
                           packed.json      shape, classes, split, and the SHA-256 of the files above
    <folder>/sources/<key>.json             the fingerprint and the stamp of a source under one set of settings
    <folder>/sources/<key>.lock             held by the process that reads the source
    <folder>/.packing-<key>/                what it has read so far; renamed to <fingerprint> when it is whole

A source that has changed is read again, and what was packed of it before goes, unless another source has the same.
Whenever one is packed, what was packed of sources that are gone goes too. Everything may be deleted while nobody reads
it: it is made again.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset
from imagemodels.data.durable import PIECE, Unusable, digest_of, sync_folder, write_file
from imagemodels.data.file_lock import held_lock
from imagemodels.data.fingerprint import settings_digest
from imagemodels.data.source import is_gone

Images = npt.NDArray[np.uint8]
Progress = Callable[[str, float], None]

PACK_ABOVE_BYTES = 2_000_000_000  # of decoded pixels; less is kept in memory
VERSION = 1
PIXELS, LABELS, HELD_OUT, HEADER = "pixels.u8", "labels.npy", "held_out.npy", "packed.json"

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


_BROKEN = (OSError, ValueError, KeyError, TypeError, RecursionError)  # what a damaged file of JSON may lead to


@dataclass(frozen=True)
class PackedStore:
    """A folder of packed data sets, and how many bytes of pixels a data set must have to be packed.

    With ``again`` no source is taken to be what it was: its files are read, whatever their names, sizes and times.
    """

    folder: Path
    above_bytes: int = PACK_ABOVE_BYTES
    again: bool = False

    @contextmanager
    def reading(
        self, place: str, stamp: str, settings: Mapping[str, object], tell: Progress
    ) -> Iterator["PackedSource"]:
        """Keep other processes from reading the same source until this one has.

        The stamp changes whenever the source may have.  Raises OSError.
        """
        key = settings_digest({"place": place, "version": VERSION, **settings})
        sources = self.folder / "sources"
        sources.mkdir(parents=True, exist_ok=True)
        with held_lock(sources / f"{key}.lock", lambda: tell("waiting for another reader", 0.0)):
            yield PackedSource(self.folder, key, stamp, self.again)


@dataclass(frozen=True)
class PackedSource:
    """One source under one set of settings, locked for this process."""

    folder: Path
    key: str
    stamp: str
    again: bool

    @property
    def _record(self) -> Path:
        return self.folder / "sources" / f"{self.key}.json"

    def find(self, tell: Progress) -> ImageDataset | None:
        """Return the data set if it is packed, checked against its sums; what does not fit them is removed."""
        record = None if self.again else _record(self._record)
        if record is None or record["stamp"] != self.stamp:
            return None
        folder = self.folder / record["fingerprint"]
        try:
            return _open(folder, record, tell)
        except Unusable:
            self._remove(folder)
            return None

    def begin(self, count: int, shape: tuple[int, int, int]) -> "PackedPixels":
        """Begin to pack at most so many images.  Raises OSError, at once where the file system has no room."""
        scratch = self.folder / f".packing-{self.key}"
        if scratch.exists():  # of a process that died: nobody else holds the lock
            shutil.rmtree(scratch)
        self._forget_gone()
        needed = count * int(np.prod(shape))
        if shutil.disk_usage(self.folder).free < needed:
            raise OSError(errno.ENOSPC, f"{count:,} decoded images take {needed / 1e9:.1f} GB")
        scratch.mkdir()
        return PackedPixels(scratch / PIXELS, shape)

    def publish(self, dataset: ImageDataset, pixels: "PackedPixels") -> None:
        """Give the packed images their name, and remember that this source has them.  Raises OSError."""
        scratch, target = pixels.path.parent, self.folder / dataset.fingerprint
        if not target.exists():
            _write_tables(scratch, dataset, pixels.digest)
            try:
                scratch.rename(target)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # the same images, of another source
                    raise
            sync_folder(self.folder)
        shutil.rmtree(scratch, ignore_errors=True)
        before = _record(self._record)
        record = {"name": dataset.name, "fingerprint": dataset.fingerprint, "bad_images": dataset.bad_images}
        write_file(self._record, json.dumps({**record, "stamp": self.stamp}).encode())
        if before is not None:
            self._let_go(before["fingerprint"])

    def _forget_gone(self) -> None:
        """Remove what was packed of sources that are no longer where they were."""
        for path in self._record.parent.glob("*.json"):
            record = _record(path)
            if record is not None and path != self._record and is_gone(record["name"]):
                path.unlink(missing_ok=True)
                self._let_go(record["fingerprint"])

    def _let_go(self, fingerprint: str) -> None:
        """Remove packed images that no source has any more.  Whoever reads them at present keeps them."""
        records = (_record(path) for path in self._record.parent.glob("*.json"))
        if all(record is None or record["fingerprint"] != fingerprint for record in records):
            self._remove(self.folder / fingerprint)

    def _remove(self, target: Path) -> None:
        """Move it away first: another process must not find half of it."""
        doomed = self.folder / f".packing-{self.key}"
        shutil.rmtree(doomed, ignore_errors=True)
        if target.exists():
            target.rename(doomed)
            shutil.rmtree(doomed)


class PackedPixels:
    """A growing file of images, hashed on the way; nothing of it is kept in memory."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.path = path
        self._shape = shape
        self._file = path.open("xb", buffering=PIECE)
        self._hash = hashlib.sha256()
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_details: object) -> None:
        self._file.close()
        if kind is not None:
            shutil.rmtree(self.path.parent, ignore_errors=True)

    @property
    def digest(self) -> str:
        """The SHA-256 of all that was added."""
        return self._hash.hexdigest()

    def add(self, pixels: Images) -> None:
        """Append an image.  Raises OSError."""
        content = np.ascontiguousarray(pixels).data
        self._file.write(content)
        self._hash.update(content)
        self._count += 1

    def finish(self) -> Images:
        """Make the file durable; gives all images (N, H, W, C), read from it where they are looked at."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return _mapped(self.path, (self._count, *self._shape))


def _mapped(path: Path, shape: tuple[int, ...]) -> Images:
    # A private mapping may be written to, as torch wants it; what is written never reaches the file.
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="c", shape=shape))


def _write_tables(folder: Path, dataset: ImageDataset, pixels_sha256: str) -> None:
    held_out = np.zeros(len(dataset), dtype=np.bool_)
    held_out[dataset.test_indices] = True
    tables: dict[str, npt.NDArray[Any]] = {HELD_OUT: held_out}
    if dataset.labels is not None:
        tables[LABELS] = dataset.labels
    sums = {PIXELS: pixels_sha256}
    for name, table in tables.items():
        np.save(folder / name, table, allow_pickle=False)
        sums[name] = digest_of(folder / name, lambda _share: None)
    header = {
        "version": VERSION,
        "shape": list(dataset.images.shape),
        "class_names": list(dataset.class_names),
        "split": dataset.split,
        "fingerprint": dataset.fingerprint,
        "content_fingerprint": dataset.content_fingerprint,
        "sha256": sums,
    }
    write_file(folder / HEADER, json.dumps(header, indent=1).encode())


def _record(path: Path) -> dict[str, Any] | None:
    """What is remembered of a source, or None where that is not readable."""
    try:
        record = _object(path)
        fits = _FINGERPRINT.fullmatch(record["fingerprint"]) and {"stamp", "name", "bad_images"} <= set(record)
    except _BROKEN:
        return None
    return record if fits else None


def _open(folder: Path, record: Mapping[str, Any], tell: Progress) -> ImageDataset:
    """The packed images, once all files were compared with their sums.  Raises Unusable."""
    fingerprint = record["fingerprint"]
    header, shape = _header(folder, fingerprint)
    for file in (PIXELS, HELD_OUT, *([LABELS] if header["class_names"] else [])):
        found = digest_of(folder / file, lambda share: tell("checking the packed images", share))
        if found != header["sha256"].get(file):
            raise Unusable(f"{file} has changed")
    held_out = np.load(folder / HELD_OUT, allow_pickle=False)
    return ImageDataset(
        name=record["name"],
        images=_mapped(folder / PIXELS, shape),
        labels=np.load(folder / LABELS, allow_pickle=False) if header["class_names"] else None,
        class_names=tuple(header["class_names"]),
        train_indices=np.flatnonzero(~held_out),
        test_indices=np.flatnonzero(held_out),
        split=header["split"],
        fingerprint=fingerprint,
        bad_images=tuple((path, reason) for path, reason in record["bad_images"]),
        content_fingerprint=header["content_fingerprint"],
        is_packed=True,
    )


def _header(folder: Path, fingerprint: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    """What packed.json says, and the shape (N, H, W, C) of the images.  Raises Unusable."""
    try:
        header = _object(folder / HEADER)
        shape = tuple(int(side) for side in header["shape"])
        known = header["version"] == VERSION and header["fingerprint"] == fingerprint
        whole = (folder / PIXELS).stat().st_size == int(np.prod(shape, dtype=np.int64))
        named = {"class_names", "split", "content_fingerprint"} <= set(header) and header["sha256"][PIXELS]
    except _BROKEN as error:
        raise Unusable(str(error)) from error
    if not (known and whole and named and len(shape) == 4):
        raise Unusable("another version, another data set, or not all of it")
    return header, shape


def _object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise TypeError(f"{path} is no JSON object")
    return value
