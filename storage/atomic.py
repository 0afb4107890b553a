"""Files that appear under their name complete, durable and hashed, or not at all."""

import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from pixmill.crashpoints import CrashPoint, reach
from storage.faults import fault, named_faults

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TEMPORARY_SUFFIX = ".tmp"


@dataclass(frozen=True)
class FileDigest:
    """What was written: its SHA-256 as 64 hexadecimal digits and its length."""

    sha256: str
    size_bytes: int


class HashingFile(io.BufferedIOBase):
    """A write-only stream that hashes what passes through; it cannot seek, so the hash is that of the file.

    The first OSError is kept in `failure`: some writers (torch.save is one) replace it by an error of their own.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.failure: OSError | None = None

    def writable(self) -> bool:
        """Return True: writing is all it does."""
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write and hash `data`; returns its length in bytes."""
        view = memoryview(data).cast("B")
        try:
            self._file.write(view)
        except OSError as error:
            self.failure = self.failure or error
            raise
        self._hash.update(view)
        self.size_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self.size_bytes

    def digest(self) -> FileDigest:
        """Return hash and length of everything written so far."""
        return FileDigest(self._hash.hexdigest(), self.size_bytes)

    def sync(self) -> None:
        """Wait until the device holds everything written so far."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self.failure = self.failure or error
            raise

    def close(self) -> None:
        """Close the file below."""
        if not self.closed:
            super().close()
            self._file.close()


class AtomicFile:
    """A file written beside its final name and renamed to it by `publish`; a reader sees the old file or the new one.

    As a context manager it publishes on success and leaves nothing behind on an error.
    Raises DiskFull, PermissionDenied or StorageError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A name of its own for every attempt: two zombies on one folder must not share a half-written file.
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
        with named_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Closed by publish and discard.
            self.stream = HashingFile(self.temporary.open("xb"))

    def publish(self) -> FileDigest:
        """Make the content durable, give it its name and make the name durable."""
        try:
            with named_faults(self.path):
                self.stream.sync()
                self.stream.close()
                reach(CrashPoint.FILE_WRITTEN)
                self.temporary.replace(self.path)
                reach(CrashPoint.FILE_RENAMED)
                sync_folder(self.path.parent)
        except BaseException:
            self.discard()
            raise
        return self.stream.digest()

    def discard(self) -> None:
        """Remove what was written; harmless after `publish`."""
        # Closing flushes, which fails again on a full disk; the error that led here is the one to report.
        with suppress(OSError):
            self.stream.close()
        with named_faults(self.temporary, "remove"):
            self.temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.publish()
            return
        self.discard()
        if self.stream.failure:
            raise fault(self.stream.failure, self.path) from error


def write_atomic(path: Path, content: bytes | Callable[[BinaryIO], object]) -> FileDigest:
    """Write `path` from bytes, or from a function that fills the stream it is given; missing folders are made.

    Returns hash and length. Raises DiskFull, PermissionDenied or StorageError, in which case `path` is as before
    and nothing else is left in its folder.
    """
    with AtomicFile(path) as file:
        if isinstance(content, bytes):
            file.stream.write(content)
        else:
            content(cast(BinaryIO, file.stream))  # all of BinaryIO that a writer may use
    return file.stream.digest()


def write_json(path: Path, value: Any) -> FileDigest:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes; errors as write_atomic."""
    return write_atomic(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON with sorted keys and a closing newline."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits; raises StorageError if it cannot be read."""
    with named_faults(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Wait until the device holds what was written to a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
