"""Checkpoints on disk: written whole, read back only if every byte is as it was written."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from pixmill.errors import CorruptFile
from storage.atomic import write_atomic
from storage.faults import named_faults
from storage.paths import Layout


@dataclass(frozen=True)
class SavedFile:
    """A file as the database remembers it."""

    path: str  # relative to the storage root
    sha256: str  # 64 hexadecimal digits
    size_bytes: int


def save_checkpoint(layout: Layout, folder: Path, name: str, writer: Callable[[BinaryIO], object]) -> SavedFile:
    """Save what `writer` writes to the stream it is given as `folder/name`, atomically and durably.

    Raises PathEscape if that lies outside the layout's root; DiskFull, PermissionDenied or StorageError if it cannot
    be written, in which case an earlier file of that name is intact.
    """
    path = layout.resolve(layout.relative(folder / name))
    digest = write_atomic(path, writer)
    return SavedFile(layout.relative(path), digest.sha256, digest.size_bytes)


def open_verified(path: Path, sha256: str, *, size_bytes: int | None = None) -> BufferedReader:
    """Open a file for reading after checking its bytes against the recorded hash; the caller closes it.

    The hash is taken over the very file that is returned, so a replacement of the name in between does no harm.
    Raises CorruptFile if the file is missing, truncated or changed.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise CorruptFile(f"{path} is missing", hint="use an earlier checkpoint, or train again") from error
    except OSError as error:
        raise CorruptFile(f"{path} cannot be opened: {error.strerror}") from error
    try:
        _check(file, path, sha256, size_bytes)
    except BaseException:
        file.close()
        raise
    return file


def _check(file: BufferedReader, path: Path, sha256: str, size_bytes: int | None) -> None:
    found_bytes = os.fstat(file.fileno()).st_size
    if size_bytes is not None and found_bytes != size_bytes:
        raise CorruptFile(
            f"{path} has {found_bytes:,} bytes, {size_bytes:,} were written",
            hint="use an earlier checkpoint, or restore the file from a copy",
        )
    with named_faults(path, "read"):
        found = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
    if found != sha256:
        raise CorruptFile(
            f"{path} has changed since it was written: SHA-256 {found}, recorded {sha256}",
            hint="use an earlier checkpoint, or restore the file from a copy",
        )
