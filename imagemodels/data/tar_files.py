"""Image files in tar archives: one archive of folders, or the shards of a WebDataset."""

import os
import tarfile
from array import array
from pathlib import Path, PurePosixPath

import numpy as np

from imagemodels.data.archive_files import OUTSIDE_NAME, damaged, leads_out, order_of, picture_path, without_top
from imagemodels.data.columns import TextColumn
from imagemodels.data.decoding import MAX_DATASET_BYTES, MAX_FILE_BYTES
from imagemodels.data.errors import BadImage
from imagemodels.data.picture_files import (
    LISTING,
    NOT_UTF8,
    TELL_EVERY,
    FileClasses,
    PictureFiles,
    Progress,
    file_stamp,
    is_text,
    not_empty,
    readable,
)
from imagemodels.data.shards import find_shards
from imagemodels.data.tar_reading import UNREADABLE, is_plain, open_tar, regular_members
from imagemodels.data.webdataset import (
    LABEL_ENDINGS,
    MAX_LABEL_BYTES,
    NO_LABEL,
    Label,
    ShardLabels,
    name_classes,
    promised_images,
    read_table,
    sample_key,
)
from imagemodels.errors import DataError

UNLABELLED = -1
MAX_SPARSE_BYTES = 64_000_000  # of a file whose zeros take no room in the archive


class TarFiles(PictureFiles):
    """The image files of a tar archive, of all archives in a folder, or of those that a pattern names.

    Classes are folders, unless labels lie beside the images; where there are several archives, labels alone. A plain
    archive is read where the files lie; a compressed one can only be read from its beginning to its end, so its image
    files are kept in memory, as they are compressed themselves.

    Raises DatasetMissing, BadImage for what is no archive or no whole output, or DataError for labels that are none.
    """

    def __init__(self, path: Path, tell: Progress) -> None:
        super().__init__(f"tar:{path.absolute()}", tell)
        self._archives = find_shards(path.absolute())
        self._members = _Members()
        self._numbers: dict[Label, int] = {}  # of the labels, as they were met
        self._class_names: tuple[str, ...] = ()
        self._refused: list[tuple[str, str]] = []
        for archive, prefix in enumerate(self._prefixes()):
            self._take(archive, prefix)
        self._require_whole(path)
        self._settle()

    def read(self, number: int) -> bytes:
        """Return the bytes of a member.  Raises BadImage."""
        return not_empty(self._members.content(int(self._order[number]), self._archives))

    def stamp(self) -> str:
        """Return a text that changes when one of the archives, or a table beside one, does."""
        tables = (archive.with_suffix(".parquet") for archive in self._archives)
        files = [*self._archives, *(table for table in tables if table.is_file())]
        return "\n".join(f"{file.name} {file_stamp(file)}" for file in files)

    def close(self) -> None:
        """Let go of what is kept of compressed archives."""
        self._members.kept.clear()

    def _prefixes(self) -> list[str]:
        """What comes before the names of each archive's members, so that none is taken for one of another archive."""
        if len(self._archives) == 1:
            return [""]
        common = os.path.commonpath([archive.parent for archive in self._archives])
        return [f"{archive.relative_to(common).as_posix()}/" for archive in self._archives]

    def _take(self, archive: int, prefix: str) -> None:
        """Note where the images of one archive lie, and their labels."""
        path, first = self._archives[archive], len(self._members)
        labels = ShardLabels()
        try:
            with open_tar(path) as tar:
                for number, member in enumerate(regular_members(tar)):
                    if number % TELL_EVERY == 0:
                        self._tell(LISTING, archive / len(self._archives))
                    self._take_member(tar, member, archive, prefix, labels)
        except UNREADABLE as error:
            raise damaged(f"tar:{path}", error) from error
        table = read_table(path)
        if table is not None:
            labels.add_table(prefix, table.labels)
            self._name_classes(path, table.class_names)
        self._label(first, labels)

    def _take_member(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, archive: int, prefix: str, labels: ShardLabels
    ) -> None:
        name = picture_path(member.name)
        if name is None:
            self.others += 1
            key, ending = sample_key(str(PurePosixPath(member.name)))
            if ending in LABEL_ENDINGS and 0 < member.size <= MAX_LABEL_BYTES:
                labels.add(prefix + key, ending, _content(tar, member))
        elif leads_out(name):
            self._refused.append((prefix + name, OUTSIDE_NAME))
        elif not is_text(name):
            self._refused.append((prefix + readable(name), NOT_UTF8))
        else:
            self._members.add(prefix + name, archive, tar, member)

    def _name_classes(self, archive: Path, names: tuple[str, ...]) -> None:
        if self._class_names and names != self._class_names:
            raise DataError(f"data set {self.place}: {archive.name} names other classes than the shards before it")
        self._class_names = names

    def _label(self, first: int, labels: ShardLabels) -> None:
        """Give the images from number ``first`` on their labels."""
        members = self._members
        for name in members.names[first:]:
            label = labels.get(sample_key(name)[0])
            known = self._numbers
            members.labels.append(UNLABELLED if label is None else known.setdefault(label, len(known)))

    def _require_whole(self, path: Path) -> None:
        promised = promised_images(path) if path.is_dir() else None
        if promised is not None and promised != len(self._members):
            raise BadImage(
                f"data set {self.place}: dataset.json promises {promised:,} images, "
                f"{len(self._members):,} are in the archives; pixmill output verify says what is missing"
            )

    def _settle(self) -> None:
        """Sort the images; where there are labels, give each its class, and refuse those without."""
        members = self._members
        order = order_of(members.names)
        refused = self._refused
        if self._numbers:
            refused += [(members.names[place], NO_LABEL) for place in order if members.labels[place] == UNLABELLED]
            order = [place for place in order if members.labels[place] != UNLABELLED]
        paths = [members.names[place] for place in order]
        self._order = np.array(order, dtype=np.int64)
        self.paths = TextColumn(without_top(paths) if len(self._archives) == 1 else paths)
        self.refused = tuple(sorted(refused))
        if self._numbers or len(self._archives) > 1:
            self.classes = self._classes()
        members.names.clear()

    def _classes(self) -> FileClasses:
        if not self._numbers:
            return FileClasses((), None)
        met = np.array(self._members.labels, dtype=np.int64)[self._order]
        present = set(np.unique(met).tolist())
        named = name_classes([label for label, number in self._numbers.items() if number in present], self._class_names)
        place_of = np.zeros(len(self._numbers), dtype=np.int64)
        for place, label in enumerate(named):
            place_of[self._numbers[label]] = place
        return FileClasses(tuple(named.values()), place_of[met])


class _Members:
    """Where the images lie: archive, offset and size of each; the bytes of those that cannot be read in place."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.labels = array("i")
        self.kept: dict[int, bytes] = {}
        self._archives, self._offsets, self._sizes = array("I"), array("Q"), array("Q")
        self._held = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, name: str, archive: int, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Note an image.  Raises BadImage when too much would have to be kept in memory."""
        if member.issparse() and member.size > MAX_SPARSE_BYTES:
            raise BadImage(f"data set tar:{tar.name!s}: {name} is a sparse file of {member.size:,} bytes")
        if not is_plain(tar) or member.issparse():  # the bytes of a sparse file do not lie in one piece
            self._keep(tar, member)
        self.names.append(name)
        self._archives.append(archive)
        self._offsets.append(member.offset_data)
        self._sizes.append(member.size)

    def _keep(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.size > MAX_FILE_BYTES:
            return
        self._held += member.size
        if self._held > MAX_DATASET_BYTES:
            raise BadImage(f"data set tar:{tar.name!s}: more than {MAX_DATASET_BYTES:,} bytes; unpack it first")
        self.kept[len(self)] = _content(tar, member)

    def content(self, place: int, archives: tuple[Path, ...]) -> bytes:
        """Return the bytes of an image.  Raises BadImage."""
        if place in self.kept:
            return self.kept[place]
        size = self._sizes[place]
        if size > MAX_FILE_BYTES:
            raise BadImage(f"too large: {size:,} bytes is more than {MAX_FILE_BYTES:,}")
        try:
            with archives[self._archives[place]].open("rb", buffering=0) as file:
                content = os.pread(file.fileno(), size, self._offsets[place])
        except OSError as error:
            raise BadImage(f"cannot be read: {error.strerror or error}") from error
        if len(content) < size:
            raise BadImage(f"truncated: {len(content):,} of {size:,} bytes")
        return content


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    content = file.read()
    if len(content) < member.size:
        raise tarfile.ReadError(f"{member.name}: {len(content):,} of {member.size:,} bytes")
    return content
