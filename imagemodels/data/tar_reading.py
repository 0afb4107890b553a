"""Tar archives read to their very end: what Python's reader takes for the end of one may be a damaged header."""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

PIECE = 1 << 20  # bytes
# What the reader, and those of its compressions, let through on damaged archives.
UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


class _StrictTarInfo(tarfile.TarInfo):
    """A header that raises where the standard one ends the archive: images would be missing, and nobody told."""

    @classmethod
    def fromtarfile(cls, tarfile_: Any) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the archive's own end mark
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no header and no end mark at byte {tarfile_.offset:,}: {error}") from error


def open_tar(path: Path) -> tarfile.TarFile:
    """Open an archive, compressed or not.  Raises one of UNREADABLE."""
    return tarfile.open(path, "r:*", tarinfo=_StrictTarInfo)


def is_plain(tar: tarfile.TarFile) -> bool:
    """Whether the archive is not compressed, so that its members can be read in any order."""
    return isinstance(tar.fileobj, BufferedReader)


def regular_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the regular files in their order, then read what is left: checksums of a compression come last.

    Raises one of UNREADABLE.
    """
    kept: Any = tar
    while (member := tar.next()) is not None:
        kept.members.clear()  # it would keep them all: a million take a gigabyte
        if member.isfile():
            yield member
    if not is_plain(tar):
        file: Any = tar.fileobj
        while file.read(PIECE):
            pass
