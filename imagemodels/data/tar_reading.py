"""Tar archives read to their very end: what Python's reader takes for the end of one may be a damaged header.

And no further than archives of images go: a header, or what is unpacked, that is larger than any of those is refused
before memory or time is spent on it.
"""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from imagemodels.data.decoding import MAX_DATASET_BYTES

PIECE = 1 << 20  # bytes
MAX_HEADER_BYTES = 1_000_000  # of a long name, or of other facts about a member
MAX_UNPACKED_BYTES = 2 * MAX_DATASET_BYTES  # of a compressed archive, all of which is read to find what is in it
MAX_MEMBERS = 10_000_000
# What the reader, and those of its compressions, let through on damaged archives.
UNREADABLE = (
    tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError, OverflowError, LookupError,
    RecursionError,
)  # fmt: skip

_HEADERS = frozenset(
    {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
)


class _StrictTarInfo(tarfile.TarInfo):
    """A header that raises where the standard one ends the archive: images would be missing, and nobody told."""

    def _proc_member(self, tarfile_: Any) -> Any:
        if self.size < 0 or (self.type in _HEADERS and self.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header says that {self.size:,} bytes follow it")
        return super()._proc_member(tarfile_)  # type: ignore[misc]

    @classmethod
    def fromtarfile(cls, tarfile_: Any) -> "_StrictTarInfo":
        try:
            member = super().fromtarfile(tarfile_)
            if not is_plain(tarfile_):  # the reader goes on by unpacking all that lies between
                _require_bounded(tarfile_.offset)
            return member
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
    met = 0
    while (member := tar.next()) is not None:
        kept.members.clear()  # it would keep them all: a million take a gigabyte
        met += 1
        if met > MAX_MEMBERS:
            raise tarfile.ReadError(f"it has more than {MAX_MEMBERS:,} members")
        if member.isfile():
            yield member
    if not is_plain(tar):
        file: Any = tar.fileobj
        while file.read(PIECE):
            _require_bounded(file.tell())


def _require_bounded(unpacked: int) -> None:
    if unpacked > MAX_UNPACKED_BYTES:
        raise tarfile.ReadError(f"unpacked it has more than {MAX_UNPACKED_BYTES:,} bytes; unpack it first")
