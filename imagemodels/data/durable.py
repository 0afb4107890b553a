"""Files that appear whole or not at all, and files read again to be compared with what was written.

What `storage.atomic` does for the rest of pixmill, in little: imagemodels works alone, and imports no other room.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

PIECE = 1 << 22  # bytes read at a time


class Unusable(Exception):
    """A file is not what was written."""


def digest_of(path: Path, tell: Callable[[float], None]) -> str:
    """The SHA-256 of a file.  Raises Unusable where it cannot be read."""
    digest, done = hashlib.sha256(), 0
    for piece, size in _pieces(path):
        digest.update(piece)
        done += len(piece)
        tell(done / size)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[tuple[bytes, int]]:
    """The bytes of a file, piece by piece, each with the size of the whole."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while piece := file.read(PIECE):
                yield piece, size
    except OSError as error:
        raise Unusable(str(error)) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file in one step; only the holder of the lock does."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
