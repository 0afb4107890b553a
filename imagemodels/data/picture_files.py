"""Where image files come from: a folder, a zip or a tar archive. Each lists names and gives a file's bytes."""

import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from imagemodels.data.decoding import MAX_DATASET_BYTES, MAX_FILE_BYTES, SUFFIXES, read_bytes
from imagemodels.data.errors import BadImage, DatasetMissing
from imagemodels.data.tar_reading import UNREADABLE, is_plain, open_tar, regular_members

DAMAGED_ZIP = (zipfile.BadZipFile, EOFError, OSError, zlib.error, lzma.LZMAError)
OUTSIDE_LINK = "a link that leads out of the folder; copy the image into it"
OUTSIDE_NAME = "a name that leads out of the archive"


class PictureFiles(ABC):
    """Image files by relative path, with forward slashes; hidden files and other kinds of file are passed over.

    place    as the data set is called, such as ``folder:/data/cats``
    paths    sorted
    refused  (path, reason) of what must not be read
    others   how many files were passed over
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.paths: tuple[str, ...] = ()
        self.refused: tuple[tuple[str, str], ...] = ()
        self.others = 0

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return the bytes of one of ``paths``; any thread may call.  Raises BadImage with a reason."""

    def open(self, path: str) -> IO[bytes]:
        """Return one of ``paths`` opened, for a look at its beginning.  Raises BadImage, or OSError."""
        return BytesIO(self.read(path))

    @abstractmethod
    def close(self) -> None:
        """Read no more."""


class FolderFiles(PictureFiles):
    """All image files below a folder; links that lead out of it are not followed.  Raises DatasetMissing."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        super().__init__(f"folder:{self._root}")
        if not self._root.is_dir():
            raise DatasetMissing(f"data set {self.place}: there is no such folder")
        self._walk()

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.  Raises BadImage."""
        return read_bytes(self._root / path)

    def open(self, path: str) -> IO[bytes]:
        """Return a file opened.  Raises BadImage or OSError."""
        file = self._root / path
        if not file.is_file():  # a pipe would keep its reader waiting for ever
            raise BadImage("not a regular file")
        return file.open("rb")

    def close(self) -> None:
        """Nothing is held open."""

    def _walk(self) -> None:
        paths, outside = [], []
        for folder, folder_names, file_names in os.walk(self._root):
            visible = sorted(name for name in folder_names if not _is_hidden(name))
            folder_names[:] = visible  # os.walk descends only into what is left here
            outside += [self._relative(folder, name) for name in visible if Path(folder, name).is_symlink()]
            for name in file_names:
                if not _is_picture(name):
                    self.others += 1
                elif Path(folder, name).resolve().is_relative_to(self._root):
                    paths.append(self._relative(folder, name))
                else:
                    outside.append(self._relative(folder, name))
        self.paths = tuple(sorted(paths))
        self.refused = tuple((path, OUTSIDE_LINK) for path in sorted(outside))

    def _relative(self, folder: str, name: str) -> str:
        return Path(folder, name).relative_to(self._root).as_posix()


class _ArchiveFiles(PictureFiles):
    """What both kinds of archive share: names are sorted out, nothing is ever written.

    A single folder at the top, as archivers make, is no part of the paths.
    """

    def __init__(self, kind: str, archive: Path) -> None:
        self._archive = archive.absolute()
        super().__init__(f"{kind}:{self._archive}")
        if not self._archive.is_file():
            raise DatasetMissing(f"data set {self.place}: there is no such file")
        self._top = ""

    def _sort_out(self, names: Iterable[str]) -> None:
        paths, outside = [], []
        for name in names:
            path = PurePosixPath(name)
            if not _is_picture(path.name) or any(_is_hidden(part) for part in path.parts[:-1] if part != ".."):
                self.others += 1
            elif path.is_absolute() or ".." in path.parts:
                outside.append(name)
            else:
                paths.append(str(path))
        tops = {PurePosixPath(path).parts[0] if "/" in path else "" for path in paths}
        self._top = f"{tops.pop()}/" if len(tops) == 1 and "" not in tops and _are_deep(paths) else ""
        self.paths = tuple(sorted(path.removeprefix(self._top) for path in paths))
        self.refused = tuple((path, OUTSIDE_NAME) for path in sorted(outside))

    def _damaged(self, error: Exception) -> BadImage:
        return BadImage(f"data set {self.place}: damaged or truncated archive: {error}")


class ZipFiles(_ArchiveFiles):
    """The image files of a zip archive.  Raises DatasetMissing, or BadImage for what is no zip archive."""

    def __init__(self, archive: Path) -> None:
        super().__init__("zip", archive)
        try:
            self._zip = zipfile.ZipFile(self._archive)
        except DAMAGED_ZIP as error:
            raise self._damaged(error) from error
        files = (member for member in self._zip.infolist() if not member.is_dir())
        self._members = {str(PurePosixPath(member.filename)): member for member in files}
        self._sort_out(self._members)

    def read(self, path: str) -> bytes:
        """Return the bytes of a member.  Raises BadImage."""
        member = self._members[self._top + path]
        if member.file_size > MAX_FILE_BYTES:
            raise BadImage(f"too large: {member.file_size:,} bytes is more than {MAX_FILE_BYTES:,}")
        try:
            content = self._zip.read(member)  # no more than it promised: zipfile stops there
        except (*DAMAGED_ZIP, RuntimeError) as error:  # encrypted; NotImplementedError: of an unknown method
            raise BadImage(f"cannot be read from the archive: {error}") from error
        return _not_empty(content)

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()


class TarFiles(_ArchiveFiles):
    """The image files of a tar archive, compressed or not.  Raises DatasetMissing, or BadImage for what is none.

    A plain archive is read where the files lie; a compressed one can only be read from its beginning to its end, so its
    image files are kept in memory, as they are compressed themselves.
    """

    def __init__(self, archive: Path) -> None:
        super().__init__("tar", archive)
        self._reading = threading.Lock()
        self._kept: dict[str, bytes] = {}
        self._members: dict[str, tarfile.TarInfo] = {}
        with ExitStack() as on_error:
            try:
                self._tar = on_error.enter_context(open_tar(self._archive))
                self._take_members()
            except UNREADABLE as error:
                raise self._damaged(error) from error
            on_error.pop_all()
        self._sort_out(self._members)

    def read(self, path: str) -> bytes:
        """Return the bytes of a member.  Raises BadImage."""
        name = self._top + path
        if name in self._kept:
            return _not_empty(self._kept[name])
        return _not_empty(self._content(self._members[name]))

    def close(self) -> None:
        """Close the archive."""
        self._tar.close()

    def _take_members(self) -> None:
        held = 0
        for member in regular_members(self._tar):
            name = str(PurePosixPath(member.name))
            self._members[name] = member
            if not is_plain(self._tar) and _is_picture(PurePosixPath(name).name) and member.size <= MAX_FILE_BYTES:
                held += member.size
                if held > MAX_DATASET_BYTES:
                    raise BadImage(f"data set {self.place}: more than {MAX_DATASET_BYTES:,} bytes; unpack it first")
                self._kept[name] = self._content(member)

    def _content(self, member: tarfile.TarInfo) -> bytes:
        if member.size > MAX_FILE_BYTES:
            raise BadImage(f"too large: {member.size:,} bytes is more than {MAX_FILE_BYTES:,}")
        with self._reading:
            file = self._tar.extractfile(member)
            assert file is not None
            content = file.read()
        if len(content) < member.size:
            raise BadImage(f"truncated: {len(content):,} of {member.size:,} bytes")
        return content


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def _is_hidden(folder_name: str) -> bool:
    return folder_name.startswith((".", "__MACOSX"))


def _are_deep(paths: list[str]) -> bool:
    """Whether a folder lies between the top one and the files: only then can the top one be no class."""
    return any(path.count("/") > 1 for path in paths)


def _not_empty(content: bytes) -> bytes:
    if not content:
        raise BadImage("the file is empty")
    return content
