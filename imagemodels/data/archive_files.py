"""Image files in a zip archive, and what all kinds of archive share: names are sorted out, nothing is ever written."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from imagemodels.data.columns import TextColumn
from imagemodels.data.decoding import MAX_FILE_BYTES
from imagemodels.data.errors import BadImage, DatasetMissing
from imagemodels.data.picture_files import PictureFiles, Progress, file_stamp, is_hidden, is_picture, not_empty

DAMAGED_ZIP = (
    zipfile.BadZipFile, EOFError, OSError, zlib.error, lzma.LZMAError, struct.error, ValueError, OverflowError,
    LookupError, NotImplementedError,
)  # fmt: skip
MAX_LISTING_BYTES = 1_000_000_000  # of the list of members at the archive's end: some ten million
PLAIN_BYTES = 64_000_000  # up to which a member may be packed however well
MOST_PACKED = 200  # times that a larger one may be longer than what lies in the archive
LISTING_FIELD = 5  # of what zipfile reads at the end of an archive
OUTSIDE_NAME = "a name that leads out of the archive"


class ZipFiles(PictureFiles):
    """The image files of a zip archive.  Raises DatasetMissing, or BadImage for what is no zip archive."""

    def __init__(self, archive: Path, tell: Progress) -> None:
        self._archive = archive.absolute()
        super().__init__(f"zip:{self._archive}", tell)
        if not self._archive.is_file():
            raise DatasetMissing(f"data set {self.place}: there is no such file")
        try:
            _check_listing(self._archive)
            self._zip = zipfile.ZipFile(self._archive)
        except DAMAGED_ZIP as error:
            raise damaged(self.place, error) from error
        self._sort_out()

    def read(self, number: int) -> bytes:
        """Return the bytes of a member.  Raises BadImage."""
        member = self._members[number]
        if member.file_size > MAX_FILE_BYTES:
            raise BadImage(f"too large: {member.file_size:,} bytes is more than {MAX_FILE_BYTES:,}")
        if member.file_size > max(PLAIN_BYTES, MOST_PACKED * member.compress_size):
            raise BadImage(f"too large: {member.compress_size:,} bytes that unpack to {member.file_size:,}")
        try:
            content = self._zip.read(member)  # no more than it promised: zipfile stops there
        except (*DAMAGED_ZIP, RuntimeError) as error:  # encrypted; NotImplementedError: of an unknown method
            raise BadImage(f"cannot be read from the archive: {error}") from error
        return not_empty(content)

    def stamp(self) -> str:
        """Return a text that changes when the archive does."""
        return file_stamp(self._archive)

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()

    def _sort_out(self) -> None:
        members, names, outside = [], [], []
        for member in self._zip.infolist():
            if not member.filename or member.is_dir():  # one without a name is nothing that could be named
                continue
            path = picture_path(member.filename)
            if path is None:
                self.others += 1
            elif leads_out(path):
                outside.append(path)
            else:
                members.append(member)
                names.append(path)
        order = order_of(names)
        self._members = [members[number] for number in order]
        self.paths = TextColumn(without_top([names[number] for number in order]))
        self.refused = tuple((path, OUTSIDE_NAME) for path in sorted(outside))


def _check_listing(archive: Path) -> None:
    """Raise BadZipFile where the list of members, all of which is read at once, is longer than any data set's."""
    with archive.open("rb") as file:
        end: Any = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if end and end[LISTING_FIELD] > MAX_LISTING_BYTES:
        raise zipfile.BadZipFile(f"its list of members has {end[LISTING_FIELD]:,} bytes")


def damaged(place: str, error: Exception) -> BadImage:
    """Return the error for an archive that cannot be read."""
    return BadImage(f"data set {place}: damaged or truncated archive: {error}")


def picture_path(name: str) -> str | None:
    """Return the path of a member that is an image, without needless dots and slashes; None for any other."""
    path = PurePosixPath(name)
    if not is_picture(path.name) or any(is_hidden(part) for part in path.parts[:-1] if part != ".."):
        return None
    return str(path)


def leads_out(path: str) -> bool:
    """Whether a member, if it were unpacked, would lie outside the folder that it is unpacked into."""
    return path.startswith("/") or ".." in path.split("/")


def order_of(names: Sequence[str]) -> list[int]:
    """Return places sorted by name; of members of one name the last alone counts.

    >>> order_of(["b", "a", "b"])
    [1, 2]
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    last = [place for place, after in pairwise(order) if names[after] != names[place]]
    return [*last, *order[-1:]]


def without_top(paths: list[str]) -> list[str]:
    """Return the paths without the single folder at the top that archivers make.

    >>> without_top(["pets/cat/1.png", "pets/dog/2.png"])
    ['cat/1.png', 'dog/2.png']
    """
    tops = {path.partition("/")[0] if "/" in path else "" for path in paths}
    # A folder must lie between the top one and the files: only then can the top one be no class.
    if len(tops) != 1 or "" in tops or not any(path.count("/") > 1 for path in paths):
        return paths
    top = f"{tops.pop()}/"
    return [path.removeprefix(top) for path in paths]
