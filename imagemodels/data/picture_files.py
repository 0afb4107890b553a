"""Where image files come from. Each source lists names, gives a file's bytes by its number, and may name classes."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import numpy.typing as npt

from imagemodels.data.columns import TextColumn
from imagemodels.data.decoding import SUFFIXES, read_bytes
from imagemodels.data.errors import BadImage, DatasetMissing

Progress = Callable[[str, float], None]

TELL_EVERY = 64  # files
LISTING = "listing the files"
OUTSIDE_LINK = "a link that leads out of the folder; copy the image into it"
NOT_UTF8 = "its name is no text in UTF-8; rename it"


@dataclass(frozen=True)
class FileClasses:
    """The classes that a source itself gives its files, instead of by their folders.

    names    in the order of their numbers; empty when the files have no classes
    numbers  int64 (N,), an index into names; None without classes
    """

    names: tuple[str, ...]
    numbers: npt.NDArray[np.int64] | None


class PictureFiles(ABC):
    """Image files by relative path, with forward slashes; hidden files and other kinds of file are passed over.

    place    as the data set is called, such as ``folder:/data/cats``
    paths    sorted
    refused  (path, reason) of what must not be read
    others   how many files were passed over
    classes  None where folders are classes

    ``tell`` hears (phase, share of it done) while many files are listed.
    """

    def __init__(self, place: str, tell: Progress) -> None:
        self.place = place
        self._tell = tell
        self.paths = TextColumn()
        self.refused: tuple[tuple[str, str], ...] = ()
        self.others = 0
        self.classes: FileClasses | None = None

    @abstractmethod
    def read(self, number: int) -> bytes:
        """Return the bytes of the file at this place of ``paths``; any thread may call.

        Raises BadImage with a reason.
        """

    def open(self, number: int) -> IO[bytes]:
        """Return one of ``paths`` opened, for a look at its beginning.  Raises BadImage, or OSError."""
        return BytesIO(self.read(number))

    @abstractmethod
    def stamp(self) -> str:
        """Return a text that changes whenever a file may have changed, found without reading any."""

    @abstractmethod
    def close(self) -> None:
        """Read no more."""


class FolderFiles(PictureFiles):
    """All image files below a folder; links that lead out of it are not followed.  Raises DatasetMissing."""

    def __init__(self, root: Path, tell: Progress) -> None:
        self._root = root.resolve()
        super().__init__(f"folder:{self._root}", tell)
        if not self._root.is_dir():
            raise DatasetMissing(f"data set {self.place}: there is no such folder")
        self._outside: list[tuple[str, str]] = []
        self.paths = TextColumn(self._walk())
        self.refused = tuple(sorted(self._outside))

    def read(self, number: int) -> bytes:
        """Return the bytes of a file.  Raises BadImage."""
        return read_bytes(self._root / self.paths[number])

    def open(self, number: int) -> IO[bytes]:
        """Return a file opened.  Raises BadImage or OSError."""
        file = self._root / self.paths[number]
        if not file.is_file():  # a pipe would keep its reader waiting for ever
            raise BadImage("not a regular file")
        return file.open("rb")

    def stamp(self) -> str:
        """Return a hash of all names, sizes and times of change."""
        digest = hashlib.sha256()
        for number, path in enumerate(self.paths):
            if number % TELL_EVERY == 0:
                self._tell("looking for changes", number / len(self.paths))
            digest.update(f"{path}\0{file_stamp(self._root / path)}\n".encode())
        for path, reason in self.refused:
            digest.update(f"{path}\0{reason}\n".encode())
        return digest.hexdigest()

    def close(self) -> None:
        """Nothing is held open."""

    def _walk(self) -> Iterator[str]:
        """Yield the paths in their order; of the names, those of one branch are in memory at a time."""
        branch = [iter(self._names_in(""))]
        while branch:
            path = next(branch[-1], None)
            if path is None:
                branch.pop()
            elif path.endswith("/"):
                branch.append(iter(self._names_in(path)))
            else:
                yield path

    def _names_in(self, prefix: str) -> list[str]:
        """Return the paths in one folder, sorted as whole paths are: a folder's ends with its slash."""
        found = []
        try:
            with os.scandir(self._root / prefix) as entries:
                for number, entry in enumerate(entries):
                    if number % TELL_EVERY == 0:
                        self._tell(LISTING, 0.0)
                    path = self._accepted(entry, prefix + entry.name)
                    if path is not None:
                        found.append(path)
        except OSError as error:
            self._outside.append((prefix or ".", f"cannot be read: {error.strerror or error}"))
        found.sort()
        return found

    def _accepted(self, entry: "os.DirEntry[str]", path: str) -> str | None:
        """Return the path of what is to be read or walked through; None, and a note where it must not be."""
        is_folder = _is_folder(entry)
        if is_folder and is_hidden(entry.name):
            return None
        if not is_folder and not is_picture(entry.name):
            self.others += 1
            return None
        if not is_text(path):
            self._outside.append((readable(path), NOT_UTF8))
            return None
        if entry.is_symlink() and (is_folder or not self._is_inside(path)):
            self._outside.append((path, OUTSIDE_LINK))
            return None
        return f"{path}/" if is_folder else path

    def _is_inside(self, path: str) -> bool:
        # Not Path.resolve: it raises where links lead in a circle.
        return Path(os.path.realpath(self._root / path)).is_relative_to(self._root)


def tell_nobody(phase: str, share: float) -> None:
    """Stand in for the progress callback of a caller who gave none."""


def is_picture(name: str) -> bool:
    """Whether a file's name, without its folders, is that of an image."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def is_hidden(folder_name: str) -> bool:
    """Whether a folder is passed over with all that is in it."""
    return folder_name.startswith((".", "__MACOSX"))


def not_empty(content: bytes) -> bytes:
    """Return the bytes of an image file.  Raises BadImage when there are none."""
    if not content:
        raise BadImage("the file is empty")
    return content


def file_stamp(path: Path) -> str:
    """Return what changes with a file: no program can set back the time at which it was changed."""
    try:
        status = path.stat()
    except OSError as error:
        return f"unreadable: {error.strerror}"  # reading it says so again
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # reading says why, if its name is that of an image


def is_text(path: str) -> bool:
    """Whether a path of a file system or an archive is text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(path: str) -> str:
    """Return a path that is no text in a form that can be shown and stored."""
    return path.encode(errors="backslashreplace").decode()
